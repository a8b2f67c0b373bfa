"""CreateAcls: add access rules."""

from infra.wire.message import array, int8, int16, int32, message, string, struct

API_KEY = 30


@struct
class AclCreation:
    """An element of `CreateAclsRequest.creations`."""

    resource_type: int = int8()
    resource_name: str = string()
    resource_pattern_type: int = int8(default=3)
    principal: str = string()
    host: str = string()
    operation: int = int8()
    permission_type: int = int8()


@message("1-3", flexible="2+")
class CreateAclsRequest:
    """The question."""

    creations: list[AclCreation] = array(AclCreation)


@struct
class AclCreationResult:
    """An element of `CreateAclsResponse.results`."""

    error_code: int = int16()
    error_message: str | None = string(nullable="0+")


@message("1-3", flexible="2+")
class CreateAclsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    results: list[AclCreationResult] = array(AclCreationResult)
