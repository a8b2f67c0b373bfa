"""Users over the wire, for the command line (KIP-554). A password is salted here and never sent."""

from dataclasses import dataclass

from cauce.admin import check
from infra.error_code import ErrorCode
from infra.security.scram import MIN_ITERATIONS, salted_password
from infra.security.user_admin import NUMBERS
from infra.security.users import fresh_salt
from infra.wire.client import Client
from infra.wire.messages import alter_user_scram_credentials as altering
from infra.wire.messages import describe_user_scram_credentials as describing


@dataclass(frozen=True, slots=True)
class UserInfo:
    """A user and how it can log in."""

    name: str
    mechanisms: tuple[str, ...]


class UserRequests:
    """Users of a cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def all(self) -> list[UserInfo]:
        """By name."""
        return await self._described(None)

    async def add(self, name: str, password: str) -> None:
        """With every SCRAM mechanism; another password if there is such a user. Raises `Refused`."""
        upsertions = []
        for number, mechanism in NUMBERS.items():
            salt = fresh_salt()
            salted = salted_password(mechanism, password, salt, MIN_ITERATIONS)
            upsertions.append(
                altering.ScramCredentialUpsertion(
                    name=name, mechanism=number, iterations=MIN_ITERATIONS, salt=salt, salted_password=salted
                )
            )
        await self._alter(altering.AlterUserScramCredentialsRequest(upsertions=upsertions))

    async def delete(self, name: str) -> None:
        """With all its credentials. Raises `Refused`."""
        numbers = {mechanism: number for number, mechanism in NUMBERS.items()}
        [user] = await self._described(name)
        deletions = [
            altering.ScramCredentialDeletion(name=name, mechanism=numbers[mechanism]) for mechanism in user.mechanisms
        ]
        await self._alter(altering.AlterUserScramCredentialsRequest(deletions=deletions))

    async def _described(self, name: str | None) -> list[UserInfo]:
        wanted = None if name is None else [describing.UserName(name=name)]
        response = await self._client.call(None, describing.DescribeUserScramCredentialsRequest(users=wanted))
        check(response.error_code, response.error_message)
        for result in response.results:
            if result.error_code == ErrorCode.RESOURCE_NOT_FOUND:
                check(result.error_code, f"there is no user {name!r}; `cauce user list` shows those that were added")
            check(result.error_code, result.error_message)
        return [
            UserInfo(result.user, tuple(NUMBERS[info.mechanism] for info in result.credential_infos))
            for result in response.results
        ]

    async def _alter(self, request: altering.AlterUserScramCredentialsRequest) -> None:
        for result in (await self._client.call(None, request)).results:
            check(result.error_code, result.error_message)
