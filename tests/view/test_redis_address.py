"""URLs of Redis: what they mean, what is refused, and that no secret of theirs is ever repeated."""

import pytest

from infra.errors import BadStart
from infra.view.redis_address import RedisAddress, hint_addresses, open_redis, parse_redis


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://one", RedisAddress("single", (("one", 6379),))),
        ("redis://[::1]:7000/3", RedisAddress("single", (("::1", 7000),), db=3)),
        ("redis://one?db=2", RedisAddress("single", (("one", 6379),), db=2)),
        ("redis://ann:p%40ss@one:1", RedisAddress("single", (("one", 1),), user="ann", password="p@ss")),
        ("redis://:word@one:1", RedisAddress("single", (("one", 1),), password="word")),
        ("unix:///run/a%20b.sock", RedisAddress("unix", path="/run/a b.sock")),
        ("unix://:word@/run/r.sock?db=1", RedisAddress("unix", path="/run/r.sock", password="word", db=1)),
        ("redis+cluster://a,b:7001", RedisAddress("cluster", (("a", 6379), ("b", 7001)))),
        (
            "rediss+sentinel://ann:word@a,b:7001/main/4?ca_file=/ca.pem&sentinel_password=other",
            RedisAddress(
                "sentinel",
                (("a", 26379), ("b", 7001)),
                master="main",
                db=4,
                tls=True,
                user="ann",
                password="word",
                options=(("ca_file", "/ca.pem"), ("sentinel_password", "other")),
            ),
        ),
    ],
)
def test_what_a_url_means(url: str, address: RedisAddress) -> None:
    assert parse_redis(url) == address


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://:secret@one", "scheme"),
        ("secret", "scheme"),
        ("redis://:secret@one:port", "HOST:PORT"),
        ("redis://:secret@/one", "HOST:PORT"),
        ("redis://:secret@one:1,two:2", "Cluster or of Sentinels"),
        ("redis://:secret@one/db", "number"),
        ("redis://:secret@one/1/2", "at the most"),
        ("redis+cluster://:secret@one/1", "no database"),
        ("redis+sentinel://:secret@one:26379", "name of the master"),
        ("redis://:secret@one?ca_file=/secret.pem", "rediss://"),
        ("rediss://:secret@one?ssl=yes", "'ssl'"),
        ("rediss://:secret@one?verify_host=no", "verify_host"),
        ("rediss://:secret@one?key_file=/secret.pem", "cert_file"),
        ("unix://secret/r.sock", "three slashes"),
    ],
)
def test_what_is_refused_without_a_secret(url: str, says: str) -> None:
    with pytest.raises(BadStart) as caught:
        parse_redis(url)
    assert says in caught.value.message
    assert "secret" not in caught.value.message
    assert caught.value.__cause__ is None


def test_certificates_that_cannot_be_used(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tls")
    (folder / "bad.pem").write_text("no certificate")
    for path, says in (("missing.pem", "cannot be read"), ("bad.pem", "cannot be used")):
        address = parse_redis(f"rediss://:word@one?ca_file={folder / path}")
        with pytest.raises(BadStart, match=says) as caught:
            open_redis(address, 1, 1)
        assert "word" not in caught.value.message


def test_secrets_are_in_no_repr() -> None:
    address = parse_redis("redis+sentinel://ann:hunter2@a/main?sentinel_password=hunter3")
    assert "hunter" not in repr(address)


def test_hints_of_a_cluster_come_from_any_of_its_servers() -> None:
    found = hint_addresses(parse_redis("rediss+cluster://ann:word@a,b:7001?ca_file=/ca.pem"))
    assert [one.hosts for one in found] == [(("a", 6379),), (("b", 7001),)]
    assert {(one.kind, one.tls, one.user, one.password, one.option("ca_file")) for one in found} == {
        ("single", True, "ann", "word", "/ca.pem")
    }
