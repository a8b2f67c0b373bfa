"""What a table of records looks like, wherever records are handled as columns: decoding, Parquet, replay.

Names of headers are bytes: one that is not UTF-8 must not keep a batch that was acknowledged from being compacted.
"""

import pyarrow as pa

HEADER_TYPE = pa.struct([pa.field("key", pa.binary(), nullable=False), pa.field("value", pa.binary())])
"""A record's header: its name and what it holds."""

TIMESTAMP_TYPE = pa.timestamp("ms", "UTC")

RECORDS = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", TIMESTAMP_TYPE, nullable=False),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("headers", pa.list_(HEADER_TYPE), nullable=False),  # without headers: an empty list
    ]
)
"""One row a record, offsets ascending."""
