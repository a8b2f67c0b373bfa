"""ApiVersions: which APIs a node offers in which versions."""

from infra.wire.message import array, boolean, int16, int32, int64, message, string, struct

API_KEY = 18


@message("0-4", flexible="3+")
class ApiVersionsRequest:
    """The question."""

    client_software_name: str = string("3+")
    client_software_version: str = string("3+")


@struct
class ApiVersion:
    """An element of `ApiVersionsResponse.api_keys`."""

    api_key: int = int16()
    min_version: int = int16()
    max_version: int = int16()


@struct
class SupportedFeatureKey:
    """An element of `ApiVersionsResponse.supported_features`."""

    name: str = string()
    min_version: int = int16()
    max_version: int = int16()


@struct
class FinalizedFeatureKey:
    """An element of `ApiVersionsResponse.finalized_features`."""

    name: str = string()
    max_version_level: int = int16()
    min_version_level: int = int16()


@message("0-4", flexible="3+")
class ApiVersionsResponse:
    """The answer."""

    error_code: int = int16()
    api_keys: list[ApiVersion] = array(ApiVersion)
    throttle_time_ms: int = int32("1+")
    supported_features: list[SupportedFeatureKey] = array(SupportedFeatureKey, "3+", tag=0)
    finalized_features_epoch: int = int64("3+", tag=1, default=-1)
    finalized_features: list[FinalizedFeatureKey] = array(FinalizedFeatureKey, "3+", tag=2)
    zk_migration_ready: bool = boolean("3+", tag=3)
