"""IncrementalAlterConfigs: set, delete, append to or subtract from single configs."""

from infra.wire.message import array, boolean, int8, int16, int32, message, string, struct

API_KEY = 44


@struct
class AlterableConfig:
    """An element of `AlterConfigsResource.configs`."""

    name: str = string()
    config_operation: int = int8()
    value: str | None = string(nullable="0+")


@struct
class AlterConfigsResource:
    """An element of `IncrementalAlterConfigsRequest.resources`."""

    resource_type: int = int8()
    resource_name: str = string()
    configs: list[AlterableConfig] = array(AlterableConfig)


@message("0-1", flexible="1+")
class IncrementalAlterConfigsRequest:
    """The question."""

    resources: list[AlterConfigsResource] = array(AlterConfigsResource)
    validate_only: bool = boolean()


@struct
class AlterConfigsResourceResponse:
    """An element of `IncrementalAlterConfigsResponse.responses`."""

    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
    resource_type: int = int8()
    resource_name: str = string()


@message("0-1", flexible="1+")
class IncrementalAlterConfigsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    responses: list[AlterConfigsResourceResponse] = array(AlterConfigsResourceResponse)
