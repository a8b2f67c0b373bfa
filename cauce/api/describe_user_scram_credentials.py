"""DescribeUserScramCredentials v0 (KIP-554): which mechanisms users have, and how many iterations."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import ClassVar

from infra.error_code import ErrorCode
from infra.security.scram import ScramCredential
from infra.security.user_admin import NUMBERS
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import describe_user_scram_credentials as message

Users = Callable[[], Mapping[str, Mapping[str, str]]]


class DescribeUserScramCredentialsHandler(Handler):
    """Answers from the users as this node last heard of them."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 0

    def __init__(self, users: Users) -> None:
        """`users`: user → mechanism → credential; a user without any does not exist."""
        self._users = users

    async def handle(
        self, context: RequestContext, request: message.DescribeUserScramCredentialsRequest
    ) -> message.DescribeUserScramCredentialsResponse:
        known = {user: credentials for user, credentials in self._users().items() if credentials}
        asked = Counter(user.name for user in request.users or ())
        names = asked or sorted(known)
        return message.DescribeUserScramCredentialsResponse(
            error_message=None, results=[_described(name, asked[name], known.get(name)) for name in names]
        )


def _described(
    name: str, times: int, credentials: Mapping[str, str] | None
) -> message.DescribeUserScramCredentialsResult:
    if times > 1:
        code, why = ErrorCode.DUPLICATE_RESOURCE, "Cannot describe the same user twice in a single request"
    elif credentials is None:
        code, why = ErrorCode.RESOURCE_NOT_FOUND, "Attempt to describe a user credential that does not exist"
    else:
        infos = [
            message.CredentialInfo(
                mechanism=number, iterations=ScramCredential.decode(credentials[mechanism]).iterations
            )
            for number, mechanism in NUMBERS.items()
            if mechanism in credentials
        ]
        return message.DescribeUserScramCredentialsResult(user=name, error_message=None, credential_infos=infos)
    return message.DescribeUserScramCredentialsResult(user=name, error_code=code, error_message=f"{why}: {name}")
