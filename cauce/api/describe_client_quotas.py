"""DescribeClientQuotas v0 to v1 (KIP-546): the quotas of users and client ids that a filter matches. v1 is flexible."""

from typing import ClassVar

from cauce.quota_admin import QuotaAdmin, Wanted
from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import describe_client_quotas as message


class DescribeClientQuotasHandler(Handler):
    """Answers DescribeClientQuotas from the quotas as this node last saw them."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 1

    def __init__(self, quotas: QuotaAdmin) -> None:
        self._quotas = quotas

    async def handle(
        self, context: RequestContext, request: message.DescribeClientQuotasRequest
    ) -> message.DescribeClientQuotasResponse:
        wanted = [Wanted(one.entity_type, one.match_type, one.match) for one in request.components]
        try:
            found = self._quotas.find(wanted, request.strict)
        except CauceError as error:
            return message.DescribeClientQuotasResponse(
                error_code=error.code, error_message=error.message, entries=None
            )
        entries = [
            message.EntryData(
                entity=[message.EntityData(entity_type=kind, entity_name=name) for kind, name in entity],
                values=[message.ValueData(key=key, value=rate) for key, rate in sorted(rates.items())],
            )
            for entity, rates in found.items()
        ]
        return message.DescribeClientQuotasResponse(error_message=None, entries=entries)
