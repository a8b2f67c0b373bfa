"""CreateAcls v1 to v3: adds access rules; each is answered for itself. v2 is flexible, v3 knows more types.

A rule that is there already is no error. Without an authorizer SECURITY_DISABLED.
"""

from typing import ClassVar

from cauce.acl_admin import AclAdmin
from cauce.api.acl_messages import acl_of, no_authorizer
from infra.errors import CauceError
from infra.security.acl import Acl
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import create_acls as message


class CreateAclsHandler(Handler):
    """Adds rules through their ledgers; any node may."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 1
    max_version: ClassVar[int] = 3

    def __init__(self, acls: AclAdmin | None) -> None:
        """None: there is no authorizer."""
        self._acls = acls

    async def handle(self, context: RequestContext, request: message.CreateAclsRequest) -> message.CreateAclsResponse:
        results = [message.AclCreationResult(error_message=None) for _ in request.creations]
        if self._acls is None:
            why = no_authorizer()
            for result in results:
                result.error_code, result.error_message = why.code, why.message
            return message.CreateAclsResponse(results=results)
        known: list[tuple[message.AclCreationResult, Acl]] = []
        for result, creation in zip(results, request.creations, strict=True):
            try:
                known.append((result, acl_of(creation)))
            except CauceError as error:
                result.error_code, result.error_message = error.code, error.message
        for (result, _), failure in zip(known, await self._acls.add([acl for _, acl in known]), strict=True):
            if failure is not None:
                result.error_code, result.error_message = failure.code, failure.message
        return message.CreateAclsResponse(results=results)
