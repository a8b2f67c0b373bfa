"""ApiVersions v0 to v4.

Says which APIs and versions this node serves, straight from the registry, so that it cannot say anything else. No
features are finalized: clients then stay with the transaction protocol and group protocol that we serve. Versions:
v1 throttle time, v3 flexible, and the client names its software, which is checked as Kafka does; v4 differs in
feature ranges only. Asked with a version beyond these, the answer has error 35, v0 format and our own range for this
key alone, so that the client asks again with one it may use.
"""

import re
from typing import ClassVar

from infra.error_code import ErrorCode
from infra.wire.handler import Handler, Registry, RequestContext
from infra.wire.messages import api_versions as message

_FIRST_WITH_SOFTWARE_NAME = 3
_SOFTWARE_WORD = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


class ApiVersionsHandler(Handler):
    """Answers ApiVersions from the registry, which it should be part of."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 4

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def handle(self, context: RequestContext, request: message.ApiVersionsRequest) -> message.ApiVersionsResponse:
        if not self.min_version <= context.api_version <= self.max_version:
            return message.ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=[_versions_of(self)])
        if context.api_version >= _FIRST_WITH_SOFTWARE_NAME and not _names_its_software(request):
            return message.ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
        return message.ApiVersionsResponse(api_keys=[_versions_of(handler) for handler in self._registry])


def _versions_of(handler: Handler) -> message.ApiVersion:
    lowest = handler.min_version if handler.advertised_min is None else handler.advertised_min
    return message.ApiVersion(api_key=handler.api_key, min_version=lowest, max_version=handler.max_version)


def _names_its_software(request: message.ApiVersionsRequest) -> bool:
    words = (request.client_software_name, request.client_software_version)
    return all(_SOFTWARE_WORD.fullmatch(word) for word in words)
