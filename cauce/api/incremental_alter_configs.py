"""IncrementalAlterConfigs v0 to v1 (KIP-339): single configs set, deleted, appended to, subtracted from."""

from typing import ClassVar

from cauce.config_admin import ConfigAdmin, incremented
from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import incremental_alter_configs as message


class IncrementalAlterConfigsHandler(Handler):
    """Alters configs through their ledgers; any node may."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 1

    def __init__(self, admin: ConfigAdmin) -> None:
        self._admin = admin

    async def handle(
        self, context: RequestContext, request: message.IncrementalAlterConfigsRequest
    ) -> message.IncrementalAlterConfigsResponse:
        response = message.IncrementalAlterConfigsResponse()
        for resource in request.resources:
            answer = message.AlterConfigsResourceResponse(
                resource_type=resource.resource_type, resource_name=resource.resource_name, error_message=None
            )
            try:
                steps = [(config.name, config.config_operation, config.value) for config in resource.configs]
                change = incremented(steps, self._admin.definitions(resource.resource_type))
                await self._admin.alter(resource.resource_type, resource.resource_name, change, request.validate_only)
            except CauceError as error:
                answer.error_code, answer.error_message = error.code, error.message
            response.responses.append(answer)
        return response
