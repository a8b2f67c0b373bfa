"""AlterUserScramCredentials v0 (KIP-554): add, replace and delete credentials; for each user all of it or nothing.

Clients send salted passwords, so a password itself never comes here. A user that the settings of nodes name
(`cauce.users`, the nodes' own) is none of these, and goes before one of the same name that is added.
"""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from infra.error_code import ErrorCode
from infra.errors import CauceError
from infra.security.user_admin import Upsertion, UserAdmin
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import alter_user_scram_credentials as message


class AlterUserScramCredentialsHandler(Handler):
    """Alters the ledger, and lets this node hear of it before it answers."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 0

    def __init__(self, admin: UserAdmin, refresh: Callable[[], Awaitable[object]]) -> None:
        self._admin = admin
        self._refresh = refresh

    async def handle(
        self, context: RequestContext, request: message.AlterUserScramCredentialsRequest
    ) -> message.AlterUserScramCredentialsResponse:
        names = dict.fromkeys([*(one.name for one in request.deletions), *(one.name for one in request.upsertions)])
        return message.AlterUserScramCredentialsResponse(results=[await self._alter(name, request) for name in names])

    async def _alter(
        self, user: str, request: message.AlterUserScramCredentialsRequest
    ) -> message.AlterUserScramCredentialsResult:
        deletions = [one.mechanism for one in request.deletions if one.name == user]
        upsertions = [
            Upsertion(one.mechanism, one.iterations, bytes(one.salt), bytes(one.salted_password))
            for one in request.upsertions
            if one.name == user
        ]
        try:
            await self._admin.alter(user, deletions, upsertions)
            await self._refresh()
        except CauceError as error:
            return message.AlterUserScramCredentialsResult(
                user=user, error_code=error.code, error_message=error.message
            )
        return message.AlterUserScramCredentialsResult(user=user, error_code=ErrorCode.NONE, error_message=None)
