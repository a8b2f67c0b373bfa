"""The rows of the Spark data source: their schema, and Arrow batches exactly as Spark wants them."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql.datasource import InputPartition
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    IntegerType,
    LongType,
    StructField,
    StructType,
    TimestampType,
)

from infra.error_code import ErrorCode
from infra.errors import Refused
from reader.engines.wanted import Wanted
from reader.engines.work import Work

_HEADER = StructType([StructField("key", BinaryType()), StructField("value", BinaryType())])
_TYPES: dict[str, DataType] = {
    "partition": IntegerType(),
    "offset": LongType(),
    "timestamp": TimestampType(),
    "key": BinaryType(),
    "value": BinaryType(),
    "headers": ArrayType(_HEADER),
}
_ARROW_HEADER = pa.struct([pa.field("key", pa.binary()), pa.field("value", pa.binary())])
_ARROW_TYPES = {
    "partition": pa.int32(),
    "offset": pa.int64(),
    "timestamp": pa.timestamp("us", "UTC"),
    "key": pa.binary(),
    "value": pa.binary(),
    "headers": pa.list_(pa.field("element", _ARROW_HEADER)),
}


class WorkPartition(InputPartition):  # type: ignore[misc]
    """A piece of work as Spark carries it to an executor."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self.work = work


def spark_schema(columns: Sequence[str]) -> StructType:
    """What Spark is told of these columns."""
    return StructType([StructField(name, _TYPES[name]) for name in columns])


def columns_in(schema: StructType) -> tuple[str, ...]:
    """The columns that a schema, perhaps given by the user to read fewer, asks for. Raises `Refused`."""
    for field in schema.fields:
        if _TYPES.get(field.name) != field.dataType:
            raise Refused(
                ErrorCode.INVALID_REQUEST,
                f"no column {field.name} {field.dataType.simpleString()} can be read; the columns are"
                f" {', '.join(f'{name} {kind.simpleString()}' for name, kind in _TYPES.items())}",
            )
    return tuple(schema.fieldNames())


def read_rows(partition: InputPartition | None, wanted: Wanted) -> Iterator[pa.RecordBatch]:
    """The wanted records of a piece of work; runs in an executor. None stands for a plan without any piece."""
    if not isinstance(partition, WorkPartition):
        return
    from reader.engines.read_work import read_work  # only tasks need it

    schema = pa.schema([pa.field(name, _ARROW_TYPES[name]) for name in wanted.columns or ()])
    for batch in read_work(partition.work, wanted):
        yield batch.cast(schema)
