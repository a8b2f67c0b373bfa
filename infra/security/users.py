"""The users that prove themselves by a password: those in the settings ledger, and the few that a node is told of.

Of users in the ledger only SCRAM credentials are known, which prove a password to PLAIN as well. Kafka's own words for
credentials (KIP-554): a user has one for each mechanism.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping

from infra.config_value import BadValue
from infra.security.scram import MECHANISMS, ScramCredential

SCRAM_USERS = "user-scram"  # kind of setting: by user, mechanism → credential

_SALT_BYTES = 16

Told = Callable[[], Mapping[str, Mapping[str, str]]]


def fresh_salt() -> bytes:
    """For a new credential."""
    return secrets.token_bytes(_SALT_BYTES)


def scram_values(password: str) -> dict[str, str]:
    """What the ledger keeps of a new user: a credential for each mechanism. Computes for milliseconds."""
    return {name: ScramCredential.of_password(name, password, fresh_salt()).encode() for name in MECHANISMS}


def parse_users(text: str) -> dict[str, str]:
    """NAME=PASSWORD with commas between. Raises `BadValue` that does not repeat them."""
    users = {}
    for number, word in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        name, equals, password = word.partition("=")
        if not name or not password or not equals:
            raise BadValue(f"has no NAME=PASSWORD at place {number}; write NAME=PASSWORD,NAME=PASSWORD")
        users[name] = password
    return users


class Users:
    """All users of a node. What it is told of itself goes before what the ledger says."""

    def __init__(self, told: Told, own: Mapping[str, str]) -> None:
        """`told`: user → mechanism → credential, as the ledger has them now. `own`: user → password."""
        self._told = told
        self._own = dict(own)
        self._made: dict[tuple[str, str], ScramCredential] = {}
        self._secret = secrets.token_bytes(32)

    def credential(self, mechanism: str, user: str) -> ScramCredential | None:
        """A user's credential, None when there is none. No I/O."""
        if user in self._own:
            if (mechanism, user) not in self._made:
                credential = ScramCredential.of_password(mechanism, self._own[user], fresh_salt())
                self._made[mechanism, user] = credential
            return self._made[mechanism, user]
        text = self._told().get(user, {}).get(mechanism)
        return None if text is None else ScramCredential.decode(text)

    def pretended(self, mechanism: str, user: str) -> ScramCredential:
        """A credential that nothing proves, the same for a user each time: who asks does not learn who exists."""
        salt = hmac.digest(self._secret, f"{mechanism},{user}".encode(), "sha256")[:_SALT_BYTES]
        return ScramCredential.of_salted(mechanism, secrets.token_bytes(32), salt, 4096)

    def proves(self, user: str, password: str) -> bool:
        """Whether this is the user's password. Computes for milliseconds, for users that do not exist too."""
        if user in self._own:
            return hmac.compare_digest(self._own[user].encode(), password.encode())
        for mechanism in MECHANISMS:
            credential = self.credential(mechanism, user)
            if credential is not None:
                return credential.proves(mechanism, password)
        return self.pretended(MECHANISMS[0], user).proves(MECHANISMS[0], password)
