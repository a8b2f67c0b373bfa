"""DescribeAcls v1 to v3: the access rules that match a filter, by resource. v2 is flexible, v3 knows more types.

Without an authorizer SECURITY_DISABLED.
"""

from itertools import groupby
from typing import ClassVar

from cauce.acl_admin import AclAdmin
from cauce.api.acl_messages import filter_of, no_authorizer
from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import describe_acls as message


class DescribeAclsHandler(Handler):
    """Answers DescribeAcls from the rules as this node last saw them."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 1
    max_version: ClassVar[int] = 3

    def __init__(self, acls: AclAdmin | None) -> None:
        """None: there is no authorizer."""
        self._acls = acls

    async def handle(
        self, context: RequestContext, request: message.DescribeAclsRequest
    ) -> message.DescribeAclsResponse:
        try:
            if self._acls is None:
                raise no_authorizer()
            found = self._acls.find(filter_of(request))
        except CauceError as error:
            return message.DescribeAclsResponse(error_code=error.code, error_message=error.message)
        resources = [
            message.DescribeAclsResource(
                resource_type=pattern.resource_type,
                resource_name=pattern.name,
                pattern_type=pattern.pattern_type,
                acls=[
                    message.AclDescription(
                        principal=acl.rule.principal,
                        host=acl.rule.host,
                        operation=acl.rule.operation,
                        permission_type=acl.rule.permission,
                    )
                    for acl in acls
                ],
            )
            for pattern, acls in groupby(found, key=lambda acl: acl.pattern)
        ]
        return message.DescribeAclsResponse(error_message=None, resources=resources)
