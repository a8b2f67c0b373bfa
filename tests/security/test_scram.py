"""SCRAM of both sides: the RFC's example, every pair of sides, and what is refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.security.scram import MECHANISMS, ScramClient, ScramCredential, ScramRefused, ScramServer
from infra.security.users import Users, scram_values


def pretended(user: str) -> ScramCredential:
    return ScramCredential.of_password("SCRAM-SHA-256", "nobody's", b"salt")


def test_the_example_of_rfc_7677() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    credential = ScramCredential.of_password("SCRAM-SHA-256", "pencil", salt)
    nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    server = ScramServer("SCRAM-SHA-256", {"user": credential}.get, nonce, pretended)
    client = ScramClient("SCRAM-SHA-256", "user", "pencil", "rOprNGfwEbeRWgbNEkqO")
    first = server.first(client.first())
    assert first == b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    final = client.final(first)
    assert final.endswith(b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    proof = server.final(final)
    assert proof == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    client.verify(proof)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_names_with_commas_and_equals_signs(mechanism: str) -> None:
    told = {"a,b=c": scram_values("sécret")}
    users = Users(lambda: told, {})
    server = ScramServer(mechanism, lambda user: users.credential(mechanism, user), "server", pretended)
    client = ScramClient(mechanism, "a,b=c", "sécret", "client")
    client.verify(server.final(client.final(server.first(client.first()))))
    assert server.user == "a,b=c"
    assert users.proves("a,b=c", "sécret")
    assert not users.proves("a,b=c", "secret")
    assert not users.proves("nobody", "secret")


def test_another_password_and_another_user_are_refused_alike() -> None:
    users = Users(dict, {"kim": "right"})
    for user, password in (("kim", "wrong"), ("lee", "right")):
        server = ScramServer(
            "SCRAM-SHA-256",
            lambda name: users.credential("SCRAM-SHA-256", name),
            "server",
            lambda name: users.pretended("SCRAM-SHA-256", name),
        )
        client = ScramClient("SCRAM-SHA-256", user, password, "client")
        with pytest.raises(ScramRefused, match="no such user, or another password"):
            server.final(client.final(server.first(client.first())))
    salts = {users.pretended("SCRAM-SHA-256", "lee").salt for _ in range(3)}
    assert len(salts) == 1, "asking twice must not tell that there is no such user"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"n,,n=kim",
        b"p=tls-unique,,n=kim,r=x",
        b"n,a=lee,n=kim,r=x",
        b"n,,n=k=2im,r=x",
        b"n,,n=kim,r=x,tokenauth=true",
        b"n,,n=" + b"k" * 5000 + b",r=x",
    ],
)
def test_first_messages_that_are_none(message: bytes) -> None:
    with pytest.raises(ScramRefused):
        ScramServer("SCRAM-SHA-256", lambda _: None, "server", pretended).first(message)


@pytest.mark.parametrize("broken", ["c=biws", "r=client", "p=AAAA", ",p=", "c=eSws"])
def test_second_messages_that_do_not_belong_to_the_first(broken: str) -> None:
    users = Users(dict, {"kim": "right"})
    server = ScramServer("SCRAM-SHA-256", lambda user: users.credential("SCRAM-SHA-256", user), "server", pretended)
    client = ScramClient("SCRAM-SHA-256", "kim", "right", "client")
    final = client.final(server.first(client.first())).decode()
    changed = {
        "c=biws": final.replace("c=biws", "c=biwsbiws"),
        "r=client": final.replace("r=client", "r=klient"),
        "p=AAAA": final.partition(",p=")[0] + ",p=AAAA",
        ",p=": final.partition(",p=")[0],
        "c=eSws": final.replace("c=biws", "c=eSws"),
    }[broken]
    with pytest.raises(ScramRefused):
        server.final(changed.encode())


def test_a_server_that_does_not_know_the_password_is_found_out() -> None:
    client = ScramClient("SCRAM-SHA-256", "kim", "right", "client")
    with pytest.raises(ScramRefused, match="iterations"):
        client.final(b"r=clientserver,s=c2FsdA==,i=1")
    client.final(b"r=clientserver,s=c2FsdA==,i=4096")
    with pytest.raises(ScramRefused, match="not who it says"):
        client.verify(b"v=AAAA")


@given(st.binary(max_size=16), st.binary(max_size=64), st.binary(max_size=64), st.integers(4096, 16384))
def test_credentials_come_back_as_they_were_kept(salt: bytes, stored: bytes, server: bytes, iterations: int) -> None:
    credential = ScramCredential(salt, stored, server, iterations)
    assert ScramCredential.decode(credential.encode()) == credential
    assert "salt" not in repr(credential)
