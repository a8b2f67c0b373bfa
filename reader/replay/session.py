"""A replay against a running cluster, for callers that are not asynchronous: opened once, read as often as you like.

What it reads is settled when it is opened: up to the high watermark of then, or the last stable offset while a
transaction is open.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import pyarrow as pa

from infra.security.client_security import security_from
from infra.wire.client import Client
from reader.replay.blocking import LoopThread
from reader.replay.bucket import Bucket, open_bucket
from reader.replay.cluster import ClusterSource, TopicFacts
from reader.replay.hot import LeaderSource
from reader.replay.plan import Span
from reader.replay.request import BYTES, ReplayRequest, milliseconds
from reader.replay.selection import Selection
from reader.replay.stream import AHEAD_BYTES, Delivered, ReplayStream

_CLIENT_ID = "cauce-replay"
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach the cluster and its bucket."""

    bootstrap: str = "127.0.0.1:9092"
    bucket: str | None = None  # URL; None: as the nodes name it
    ahead_bytes: int = AHEAD_BYTES
    command_config: str | Path | None = None  # file of client properties; None: plain text


class ReplaySession:
    """One request, settled. Close it, or use it in a with statement."""

    def __init__(self, request: ReplayRequest, connection: Connection) -> None:
        """Asks the cluster and opens the bucket. Raises `Refused`, `Unavailable`, `BadStart`."""
        self.request = request
        self._connection = connection
        self._loop = LoopThread(_CLIENT_ID)
        self._client = Client(connection.bootstrap, _CLIENT_ID, security=security_from(connection.command_config))
        self._bucket: Bucket | None = None
        try:
            self._loop.run(self._open())
        except BaseException:
            self.close()
            raise

    facts: TopicFacts
    spans: Mapping[int, Span]  # of each partition that was asked for

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def delivered(
        self, selection: Selection | None = None, spans: Mapping[int, Span] | None = None
    ) -> Generator[Delivered, None, None]:
        """The rows with positions, from the beginning or, with other `spans`, from wherever one got to."""
        assert self._bucket is not None
        start = self.request.start
        stream = ReplayStream(
            self.facts.topic_id,
            self.spans if spans is None else spans,
            self._bucket,
            LeaderSource(self._client, self.facts.topic, self.facts.topic_id),
            self.selection() if selection is None else selection,
            start_ms=milliseconds(start) if isinstance(start, datetime) else None,
            ahead_bytes=self._connection.ahead_bytes,
        )
        yield from self._loop.iterate(stream.batches())

    def reader(self, selection: Selection | None = None) -> pa.RecordBatchReader:
        """One stream of Arrow record batches. It keeps the session, which ends with whatever uses it last."""
        chosen = self.selection() if selection is None else selection
        batches = (one.rows for one in self.delivered(chosen) if one.rows.num_rows)
        return pa.RecordBatchReader.from_batches(chosen.out, batches)

    def selection(self, schema: pa.Schema = BYTES) -> Selection:
        """The columns and records that the request asks for, as `BYTES` or as `TEXT`."""
        return Selection(schema, self.request.selected(schema), self.request.filter(schema))

    def close(self) -> None:
        """Give back connections and threads; a second time does nothing."""
        self._loop.close(self._shut)

    def __del__(self) -> None:
        self._loop.abandon(self._shut)

    async def _open(self) -> None:
        cluster = ClusterSource(self._client)
        await cluster.connect(_CONNECT_SECONDS)
        self.facts = await cluster.topic(self.request.topic)
        url = self._connection.bucket or await cluster.bucket_url()
        self._bucket = await open_bucket(url, self.facts.cluster_id)
        self.spans = await cluster.spans(self.facts, self.request)

    async def _shut(self) -> None:
        if self._bucket is not None:
            await self._bucket.close()
        await self._client.close()
