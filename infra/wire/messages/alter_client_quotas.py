"""AlterClientQuotas: set and remove quotas."""

from infra.wire.message import array, boolean, float64, int16, int32, message, string, struct

API_KEY = 49


@struct
class EntityData:
    """An element of `EntryData.entity`."""

    entity_type: str = string()
    entity_name: str | None = string(nullable="0+")


@struct
class OpData:
    """An element of `EntryData.ops`."""

    key: str = string()
    value: float = float64()
    remove: bool = boolean()


@struct
class EntryData:
    """An element of `AlterClientQuotasRequest.entries`."""

    entity: list[EntityData] = array(EntityData)
    ops: list[OpData] = array(OpData)


@message("0-1", flexible="1+")
class AlterClientQuotasRequest:
    """The question."""

    entries: list[EntryData] = array(EntryData)
    validate_only: bool = boolean()


@struct
class EntryResult:
    """An element of `AlterClientQuotasResponse.entries`; Kafka calls it EntryData too."""

    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
    entity: list[EntityData] = array(EntityData)


@message("0-1", flexible="1+")
class AlterClientQuotasResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    entries: list[EntryResult] = array(EntryResult)
