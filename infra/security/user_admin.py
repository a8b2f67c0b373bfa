"""Adding and removing SCRAM credentials (KIP-554): checked here, kept in the settings ledger of the bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.cluster.settings import SettingsLedger
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.security.scram import MAX_ITERATIONS, MECHANISMS, MIN_ITERATIONS, ScramCredential

NUMBERS: Mapping[int, str] = dict(enumerate(MECHANISMS, 1))  # Kafka's: 1 is SCRAM-SHA-256, 2 is SCRAM-SHA-512


@dataclass(frozen=True, slots=True)
class Upsertion:
    """One credential of a user, new or in place of another."""

    mechanism: int
    iterations: int
    salt: bytes
    salted_password: bytes

    def credential(self) -> ScramCredential:
        """Raises `Refused` as Kafka does."""
        mechanism = mechanism_name(self.mechanism)
        if self.iterations < MIN_ITERATIONS:
            raise Refused(ErrorCode.UNACCEPTABLE_CREDENTIAL, "Too few iterations")
        if self.iterations > MAX_ITERATIONS:
            raise Refused(ErrorCode.UNACCEPTABLE_CREDENTIAL, "Too many iterations")
        if not self.salt or not self.salted_password:
            raise Refused(ErrorCode.UNACCEPTABLE_CREDENTIAL, "Salt and salted password must not be empty")
        return ScramCredential.of_salted(mechanism, self.salted_password, self.salt, self.iterations)


class UserAdmin:
    """The one way users change."""

    def __init__(self, ledger: SettingsLedger) -> None:
        """`ledger`: of the kind `SCRAM_USERS`."""
        self._ledger = ledger

    async def alter(self, user: str, deletions: Sequence[int], upsertions: Sequence[Upsertion]) -> None:
        """Change the credentials of one user together, or none of them. Raises `Refused`."""
        if not user:
            raise Refused(ErrorCode.UNACCEPTABLE_CREDENTIAL, "Username must not be empty")
        gone = [mechanism_name(number) for number in deletions]
        new = {mechanism_name(one.mechanism): one.credential().encode() for one in upsertions}
        if len({*gone, *new}) < len(gone) + len(upsertions):
            raise Refused(
                ErrorCode.DUPLICATE_RESOURCE,
                "A user credential cannot be altered twice in the same request",
            )

        def change(now: Mapping[str, str]) -> Mapping[str, str]:
            if not set(gone) <= set(now):
                raise Refused(ErrorCode.RESOURCE_NOT_FOUND, "Attempt to delete a user credential that does not exist")
            kept = {name: text for name, text in now.items() if name not in gone}
            return {**kept, **new}

        await self._ledger.alter(user, change)


def mechanism_name(number: int) -> str:
    """Of Kafka's number. Raises `Refused`."""
    if number not in NUMBERS:
        raise Refused(ErrorCode.UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism")
    return NUMBERS[number]
