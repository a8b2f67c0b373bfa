"""A topic's table as Iceberg describes it: columns, partitioning, properties. Imported with the Iceberg library only.

Record segments carry no field ids; the name mapping tells them. Columns that come later (typed ones, from a schema) are
added by schema evolution, which gives them ids above these and extends the mapping.
"""

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import TableProperties
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BinaryType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from compactor.table import TableGoal
from infra.segment.record_columns import PARTITION, VALUE, VALUE_BYTES

TOPIC, TOPIC_ID, VERSIONS = "cauce.topic", "cauce.topic-id", "cauce.manifest-versions"
_WITHOUT_STATISTICS = (VALUE, VALUE_BYTES, "headers.element.key", "headers.element.value")  # record segments have none
_PARTITION_FIELD = 1000  # where Iceberg begins to number partition fields


def table_schema(text: bool) -> Schema:
    """The columns of `infra.segment.record_columns`, in their order; `text`: the value is a string.

    Ids are those that catalogs give themselves: columns first, then what is inside of them.
    """
    values = [NestedField(5, VALUE, StringType() if text else BinaryType(), required=False)]
    if text:
        values.append(NestedField(6, VALUE_BYTES, BinaryType(), required=False))
    last = 4 + len(values)
    header = StructType(
        NestedField(last + 3, "key", BinaryType(), required=True),
        NestedField(last + 4, "value", BinaryType(), required=False),
    )
    return Schema(
        NestedField(1, PARTITION, IntegerType(), required=False),  # old segments have it from the partitioning only
        NestedField(2, "offset", LongType(), required=True),
        NestedField(3, "timestamp", TimestamptzType(), required=True),
        NestedField(4, "key", BinaryType(), required=False),
        *values,
        NestedField(last + 1, "headers", ListType(last + 2, header, element_required=False), required=True),
    )


def is_text(schema: Schema) -> bool:
    """Whether a table's values are text."""
    return isinstance(schema.find_field(VALUE).field_type, StringType)


def partitioning(schema: Schema) -> PartitionSpec:
    """By the Kafka partition, as it is."""
    source = schema.find_field(PARTITION).field_id
    return PartitionSpec(PartitionField(source, _PARTITION_FIELD, IdentityTransform(), PARTITION))


def table_properties(goal: TableGoal) -> dict[str, str]:
    """What a new table is told of itself, besides its name mapping."""
    return {
        TOPIC: goal.topic,
        TOPIC_ID: str(goal.topic_id),
        TableProperties.FORMAT_VERSION: "2",
        TableProperties.COMMIT_NUM_RETRIES: "0",  # a refused commit is planned anew
        TableProperties.METADATA_DELETE_AFTER_COMMIT_ENABLED: "false",  # unneeded files are swept after their time
        **{metrics_mode(column): "none" for column in _WITHOUT_STATISTICS},
    }


def metrics_mode(column: str) -> str:
    """The property that says which statistics of a column a table keeps."""
    return f"{TableProperties.METRICS_MODE_COLUMN_CONF_PREFIX}.{column}"
