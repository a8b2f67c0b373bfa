"""AlterClientQuotas v0 to v1 (KIP-546): sets and removes quotas of users and client ids. v1 is flexible."""

from typing import ClassVar

from cauce.quota_admin import QuotaAdmin, checked_entity
from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import alter_client_quotas as message


class AlterClientQuotasHandler(Handler):
    """Alters quotas through their ledgers; any node may."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 1

    def __init__(self, quotas: QuotaAdmin) -> None:
        self._quotas = quotas

    async def handle(
        self, context: RequestContext, request: message.AlterClientQuotasRequest
    ) -> message.AlterClientQuotasResponse:
        entries = [await self._alter(entry, request.validate_only) for entry in request.entries]
        return message.AlterClientQuotasResponse(entries=entries)

    async def _alter(self, entry: message.EntryData, validate_only: bool) -> message.EntryResult:
        result = message.EntryResult(entity=entry.entity, error_message=None)
        try:
            entity = checked_entity([(part.entity_type, part.entity_name) for part in entry.entity])
            steps = {step.key: None if step.remove else step.value for step in entry.ops}
            if len(steps) != len(entry.ops):
                raise Refused(ErrorCode.INVALID_REQUEST, "a quota stands twice in an entry")
            await self._quotas.alter(entity, steps, validate_only)
        except CauceError as error:
            result.error_code, result.error_message = error.code, error.message
        return result
