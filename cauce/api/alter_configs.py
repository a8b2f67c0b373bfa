"""AlterConfigs v0 to v2: replaces all configs of a topic or broker by the given ones; what is not given falls back."""

from typing import ClassVar

from cauce.config_admin import ConfigAdmin, replaced
from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import alter_configs as message


class AlterConfigsHandler(Handler):
    """Alters configs through their ledgers; any node may."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 2

    def __init__(self, admin: ConfigAdmin) -> None:
        self._admin = admin

    async def handle(
        self, context: RequestContext, request: message.AlterConfigsRequest
    ) -> message.AlterConfigsResponse:
        response = message.AlterConfigsResponse()
        for resource in request.resources:
            answer = message.AlterConfigsResourceResponse(
                resource_type=resource.resource_type, resource_name=resource.resource_name, error_message=None
            )
            try:
                change = replaced({config.name: config.value for config in resource.configs})
                await self._admin.alter(resource.resource_type, resource.resource_name, change, request.validate_only)
            except CauceError as error:
                answer.error_code, answer.error_message = error.code, error.message
            response.responses.append(answer)
        return response
