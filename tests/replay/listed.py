"""A replay session over a list of records: what sinks, transfers, datasets and SQL see of a topic."""

from collections.abc import Generator, Mapping, Sequence
from uuid import UUID

import pyarrow as pa

from infra.records.record import Record
from reader.replay.cluster import TopicFacts
from reader.replay.plan import Span
from reader.replay.request import BYTES, ReplayRequest
from reader.replay.selection import Selection
from reader.replay.session import ReplaySession
from reader.replay.stream import Delivered
from tests.replay.world import TOPIC_ID, table_of


class ListedSession(ReplaySession):
    """Delivers batches of `batch` records; with `fails_after`, stops with an error after so many."""

    def __init__(
        self,
        topic: Mapping[int, Sequence[Record]],
        request: ReplayRequest | None = None,
        *,
        topic_id: UUID = TOPIC_ID,
        batch: int = 10,
        fails_after: int | None = None,
    ) -> None:
        self.request = request or ReplayRequest(topic="listed")
        self.facts = TopicFacts(self.request.topic, topic_id, "cluster", tuple(topic))
        self.spans = {one: Span(0, records[-1].offset + 1 if records else 0) for one, records in topic.items()}
        self.scans: list[Selection] = []
        self.closed = False
        self._topic = topic
        self._batch = batch
        self._fails_after = fails_after

    def delivered(
        self, selection: Selection | None = None, spans: Mapping[int, Span] | None = None
    ) -> Generator[Delivered, None, None]:
        chosen = self.selection() if selection is None else selection
        self.scans.append(chosen)
        sent = 0
        for partition, span in (self.spans if spans is None else spans).items():
            records = [one for one in self._topic[partition] if span.start <= one.offset < span.end]
            for at in range(0, len(records), self._batch):
                if sent == self._fails_after:
                    raise ConnectionError("the test pulled the plug")
                few = records[at : at + self._batch]
                last = at + self._batch >= len(records)
                rows = chosen.apply(table_of(few), partition, Span(0, 1 << 60))
                yield Delivered(partition, span.end if last else few[-1].offset + 1, rows)
                sent += 1

    def close(self) -> None:
        self.closed = True

    def __del__(self) -> None:
        """Nothing to give back: it has no loop."""

    def expected(self, schema: pa.Schema = BYTES) -> pa.Table:
        """All of it, as it is delivered."""
        chosen = self.selection(schema)
        batches = [one.rows for one in ListedSession(self._topic, self.request).delivered(chosen)]
        return pa.Table.from_batches(batches, chosen.out)
