"""Asks a cluster what there is of a topic and plans the work of reading it: the one planner of all engines."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from infra.cluster.manifest import Manifest, ManifestLedger
from infra.partition import PartitionId
from infra.security.client_security import security_from
from infra.wire.client import Client
from reader.engines.cutting import WORK_BYTES, cut
from reader.engines.wanted import Wanted
from reader.engines.work import TopicPlace, Work
from reader.replay.blocking import LoopThread
from reader.replay.bucket import Bucket, open_bucket
from reader.replay.cluster import ClusterSource, TopicFacts
from reader.replay.plan import Span
from reader.replay.request import Place, ReplayRequest

_CLIENT_ID = "cauce-engine"
_CONNECT_SECONDS = 10.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TopicSource:
    """One topic of a running cluster. Use it in a with statement, or close it."""

    place: TopicPlace
    partitions: tuple[int, ...]

    def __init__(
        self, topic: str, bootstrap: str, bucket: str | None = None, command_config: str | None = None
    ) -> None:
        """`bucket`: its URL as the readers of the work reach it; None: as the nodes name it. `command_config`: path of
        a file of client properties, here and wherever the work is read.

        Raises `Refused` when there is no such topic, `Unavailable`, `BadStart`.
        """
        self._loop = LoopThread(_CLIENT_ID)
        self._client = Client(bootstrap, _CLIENT_ID, security=security_from(command_config))
        self._cluster = ClusterSource(self._client)
        self._bucket: Bucket | None = None
        self._facts: TopicFacts
        try:
            self._loop.run(self._open(topic, bootstrap, bucket, command_config))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def spans(
        self, partitions: Sequence[int] | None = None, start: Place = None, end: int | None = None
    ) -> dict[int, Span]:
        """What there is now of the partitions (None: all): from the log start, up to what is committed.

        A time as `start` means the first offset of that time or later, the end when there is none.
        """
        wanted = None if partitions is None else tuple(partitions)
        request = ReplayRequest(topic=self.place.topic, partitions=wanted, start=start, end=end)
        return self._loop.run(self._cluster.spans(self._facts, request))

    def since(self, time_ms: int, partitions: Sequence[int] | None = None) -> dict[int, int]:
        """The first offset of that time or later by partition; the end where there is none."""
        moment = _EPOCH + timedelta(milliseconds=time_ms)
        return {partition: span.start for partition, span in self.spans(partitions, moment).items()}

    def works(self, spans: Mapping[int, Span], wanted: Wanted, work_bytes: int = WORK_BYTES) -> list[Work]:
        """The pieces of work, by partition and offset, in which the wanted records of the spans are."""
        return self._loop.run(self._works(wanted.narrowed(spans), wanted.start_ms(), work_bytes))

    def close(self) -> None:
        """Give back connections and threads; a second time does nothing."""
        self._loop.close(self._shut)

    async def _works(self, spans: Mapping[int, Span], start_ms: int | None, work_bytes: int) -> list[Work]:
        manifests = await asyncio.gather(*(self._manifest(partition) for partition in spans))
        return [
            Work(place=self.place, partition=number, start=one.span.start, end=one.span.end, size=one.size)
            for (number, span), manifest in sorted(
                zip(spans.items(), manifests, strict=True), key=lambda each: each[0][0]
            )
            for one in cut(manifest, span, work_bytes, start_ms)
        ]

    async def _manifest(self, partition: int) -> Manifest:
        assert self._bucket is not None
        return await ManifestLedger(self._bucket.store).read(PartitionId(self.place.topic_id, partition))

    async def _open(self, topic: str, bootstrap: str, bucket: str | None, command_config: str | None) -> None:
        await self._cluster.connect(_CONNECT_SECONDS)
        self._facts = await self._cluster.topic(topic)
        self.partitions = self._facts.partitions
        url = bucket or await self._cluster.bucket_url()
        self._bucket = await open_bucket(url, self._facts.cluster_id)
        self.place = TopicPlace(
            bootstrap=bootstrap,
            bucket=url,
            topic=topic,
            topic_id=self._facts.topic_id,
            cluster_id=self._facts.cluster_id,
            command_config=command_config,
        )

    async def _shut(self) -> None:
        if self._bucket is not None:
            await self._bucket.close()
        await self._client.close()
