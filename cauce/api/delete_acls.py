"""DeleteAcls v1 to v3: removes the access rules that filters match, and says which. v2 is flexible.

Without an authorizer SECURITY_DISABLED.
"""

from typing import ClassVar

from cauce.acl_admin import AclAdmin
from cauce.api.acl_messages import filter_of, no_authorizer
from infra.errors import CauceError
from infra.security.acl import Acl
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import delete_acls as message


class DeleteAclsHandler(Handler):
    """Removes rules through their ledgers; any node may."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 1
    max_version: ClassVar[int] = 3

    def __init__(self, acls: AclAdmin | None) -> None:
        """None: there is no authorizer."""
        self._acls = acls

    async def handle(self, context: RequestContext, request: message.DeleteAclsRequest) -> message.DeleteAclsResponse:
        return message.DeleteAclsResponse(filter_results=[await self._delete(one) for one in request.filters])

    async def _delete(self, wanted: message.DeleteAclsFilter) -> message.DeleteAclsFilterResult:
        try:
            if self._acls is None:
                raise no_authorizer()
            removed = await self._acls.remove(filter_of(wanted))
        except CauceError as error:
            return message.DeleteAclsFilterResult(error_code=error.code, error_message=error.message)
        return message.DeleteAclsFilterResult(error_message=None, matching_acls=[_matching(acl) for acl in removed])


def _matching(acl: Acl) -> message.DeleteAclsMatchingAcl:
    return message.DeleteAclsMatchingAcl(
        error_message=None,
        resource_type=acl.pattern.resource_type,
        resource_name=acl.pattern.name,
        pattern_type=acl.pattern.pattern_type,
        principal=acl.rule.principal,
        host=acl.rule.host,
        operation=acl.rule.operation,
        permission_type=acl.rule.permission,
    )
