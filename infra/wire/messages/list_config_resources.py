"""ListConfigResources: the resources that have configs."""

from infra.wire.message import array, int8, int16, int32, message, string, struct

API_KEY = 74


@message("0-1", flexible="0+")
class ListConfigResourcesRequest:
    """The question."""

    resource_types: list[int] = array("int8", "1+")


@struct
class ConfigResource:
    """An element of `ListConfigResourcesResponse.config_resources`."""

    resource_name: str = string()
    resource_type: int = int8("1+", default=16)


@message("0-1", flexible="0+")
class ListConfigResourcesResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
    config_resources: list[ConfigResource] = array(ConfigResource)
