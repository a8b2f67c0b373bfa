"""Topics as Arrow, for programs: `cauce.replay` and `cauce.scan`. What is heavy is imported when they are called."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from reader.replay.dataset import TopicDataset

_BOOTSTRAP = "127.0.0.1:9092"


def replay(
    topic: str,
    *,
    bootstrap: str = _BOOTSTRAP,
    partitions: Sequence[int] | None = None,
    start: int | datetime | None = None,
    end: int | datetime | None = None,
    key: bytes | str | None = None,
    columns: Sequence[str] | None = None,
    bucket: str | None = None,
    command_config: str | Path | None = None,
) -> "pa.RecordBatchReader":
    """The records of a topic as one stream of Arrow record batches, partition by partition in the order of offsets.

    Complete up to the high watermark at the time of the call. Columns: partition, offset, timestamp, key, value,
    headers; fewer of them are read much faster. `start` (inclusive) and `end` (exclusive) are offsets, or times that
    timestamps are compared with. `key`: only records with this key. `bucket`: URL of the bucket where it is not
    reachable as the nodes name it. `command_config`: a file of Kafka's client properties (security.protocol, sasl.*,
    ssl.*) where the nodes want TLS or a login.

    Raises `infra.errors.CauceError` with a sentence that says what to do.
    """
    from reader.replay.request import ReplayRequest
    from reader.replay.session import Connection, ReplaySession

    request = ReplayRequest(
        topic=topic,
        partitions=None if partitions is None else tuple(partitions),
        start=start,
        end=end,
        key=key.encode() if isinstance(key, str) else key,
        columns=None if columns is None else tuple(columns),
    )
    return ReplaySession(
        request, Connection(bootstrap=bootstrap, bucket=bucket, command_config=command_config)
    ).reader()


def scan(
    topic: str,
    *,
    bootstrap: str = _BOOTSTRAP,
    partitions: Sequence[int] | None = None,
    start: int | datetime | None = None,
    end: int | datetime | None = None,
    text: bool = False,
    bucket: str | None = None,
    command_config: str | Path | None = None,
) -> "TopicDataset":
    """A topic as a pyarrow dataset: for `duckdb.register`, `polars.scan_pyarrow_dataset`, or its own `to_table`.

    Columns and filters of whoever scans it are pushed down to row groups. Every scan sees the same records: those up to
    the high watermark at the time of the call. With `text`, key and value are strings (null where they are not UTF-8)
    and `key_bytes` and `value_bytes` hold the rest. Other parameters and errors are those of `replay`.
    """
    from reader.replay.dataset import TopicDataset
    from reader.replay.request import BYTES, TEXT, ReplayRequest
    from reader.replay.session import Connection, ReplaySession

    wanted = None if partitions is None else tuple(partitions)
    request = ReplayRequest(topic=topic, partitions=wanted, start=start, end=end)
    session = ReplaySession(request, Connection(bootstrap=bootstrap, bucket=bucket, command_config=command_config))
    return TopicDataset(session, TEXT if text else BYTES)
