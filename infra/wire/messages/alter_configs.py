"""AlterConfigs: replace all configs of a resource."""

from infra.wire.message import array, boolean, int8, int16, int32, message, string, struct

API_KEY = 33


@struct
class AlterableConfig:
    """An element of `AlterConfigsResource.configs`."""

    name: str = string()
    value: str | None = string(nullable="0+")


@struct
class AlterConfigsResource:
    """An element of `AlterConfigsRequest.resources`."""

    resource_type: int = int8()
    resource_name: str = string()
    configs: list[AlterableConfig] = array(AlterableConfig)


@message("0-2", flexible="2+")
class AlterConfigsRequest:
    """The question."""

    resources: list[AlterConfigsResource] = array(AlterConfigsResource)
    validate_only: bool = boolean()


@struct
class AlterConfigsResourceResponse:
    """An element of `AlterConfigsResponse.responses`."""

    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
    resource_type: int = int8()
    resource_name: str = string()


@message("0-2", flexible="2+")
class AlterConfigsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    responses: list[AlterConfigsResourceResponse] = array(AlterConfigsResourceResponse)
