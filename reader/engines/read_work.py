"""Reads pieces of work in whatever process they came to: an event loop, a store and threads of its own.

The bucket is asked for all that lies in record segments; a leader only for what lies above them.
"""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

import pyarrow as pa

from infra.security.client_security import security_from
from infra.wire.client import Client
from reader.engines.wanted import Wanted
from reader.engines.work import TopicPlace, Work
from reader.replay.blocking import LoopThread
from reader.replay.bucket import Bucket, open_bucket
from reader.replay.hot import LeaderSource
from reader.replay.plan import Span
from reader.replay.stream import AHEAD_BYTES, ReplayStream

_CLIENT_ID = "cauce-engine"


class PlaceReader:
    """Reads stretches of one topic. Use it in a with statement, or close it."""

    def __init__(self, place: TopicPlace, ahead_bytes: int = AHEAD_BYTES) -> None:
        """Opens the bucket, no more. Raises `BadStart` when it is not there or is another cluster's."""
        self._place = place
        self._ahead_bytes = ahead_bytes
        self._loop = LoopThread(_CLIENT_ID)
        self._client = Client(place.bootstrap, _CLIENT_ID, security=security_from(place.command_config))
        self._bucket: Bucket | None = None
        try:
            self._bucket = self._loop.run(open_bucket(place.bucket, place.cluster_id))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def batches(self, spans: Mapping[int, Span], wanted: Wanted) -> Iterator[pa.RecordBatch]:
        """The wanted records of each partition's span, by partition and offset; no batch is empty.

        Raises `Unavailable`, `Corrupt` (naming the object), `Refused`.
        """
        assert self._bucket is not None
        stream = ReplayStream(
            self._place.topic_id,
            spans,
            self._bucket,
            LeaderSource(self._client, self._place.topic, self._place.topic_id),
            wanted.selection(),
            start_ms=wanted.start_ms(),
            ahead_bytes=self._ahead_bytes,
        )
        for delivered in self._loop.iterate(stream.batches()):
            if delivered.rows.num_rows:
                yield delivered.rows

    def close(self) -> None:
        """Give back connections and threads; a second time does nothing."""
        self._loop.close(self._shut)

    async def _shut(self) -> None:
        if self._bucket is not None:
            await self._bucket.close()
        await self._client.close()


def read_work(work: Work, wanted: Wanted) -> Iterator[pa.RecordBatch]:
    """The wanted records of a piece of work, in the order of offsets."""
    with PlaceReader(work.place) as reader:
        yield from reader.batches({work.partition: Span(work.start, work.end)}, wanted)
