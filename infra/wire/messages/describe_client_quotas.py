"""DescribeClientQuotas: the quotas that match a filter."""

from infra.wire.message import array, boolean, float64, int8, int16, int32, message, string, struct

API_KEY = 48


@struct
class ComponentData:
    """An element of `DescribeClientQuotasRequest.components`."""

    entity_type: str = string()
    match_type: int = int8()
    match: str | None = string(nullable="0+")


@message("0-1", flexible="1+")
class DescribeClientQuotasRequest:
    """The question."""

    components: list[ComponentData] = array(ComponentData)
    strict: bool = boolean()


@struct
class EntityData:
    """An element of `EntryData.entity`."""

    entity_type: str = string()
    entity_name: str | None = string(nullable="0+")


@struct
class ValueData:
    """An element of `EntryData.values`."""

    key: str = string()
    value: float = float64()


@struct
class EntryData:
    """An element of `DescribeClientQuotasResponse.entries`."""

    entity: list[EntityData] = array(EntityData)
    values: list[ValueData] = array(ValueData)


@message("0-1", flexible="1+")
class DescribeClientQuotasResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
    entries: list[EntryData] | None = array(EntryData, nullable="0+")
