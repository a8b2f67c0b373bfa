"""Asks nodes themselves, again and again, whether they take a write: when the cluster goes on, whatever clients do.

A partition that the asked node does not lead is refused at once and nothing is appended, so each attempt is a value of
its own.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence

from infra.error_code import ErrorCode
from infra.errors import CauceError
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.wire.client import Client
from infra.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tests.chaos.score import Diary, Score
from tests.checker.history import Operation, Partition, Send

_PAUSE_SECONDS = 0.03
_GIVE_UP_SECONDS = 60.0


class Probe:
    """One round of asking."""

    def __init__(self, score: Score, places: Sequence[Partition]) -> None:
        self._score = score
        self._since = time.monotonic()
        self._places = places
        self.acknowledged: dict[Partition, float] = {}  # seconds after the beginning

    def ask(self, bootstraps: Sequence[str]) -> dict[Partition, float]:
        """Until each partition has taken a write from one of these nodes."""
        asyncio.run(self._ask_all(bootstraps))
        return self.acknowledged

    async def _ask_all(self, bootstraps: Sequence[str]) -> None:
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            await asyncio.gather(*(self._ask(bootstrap, Diary(self._score)) for bootstrap in bootstraps))

    async def _ask(self, bootstrap: str, diary: Diary) -> None:
        async with Client(bootstrap) as client:
            while missing := [place for place in self._places if place not in self.acknowledged]:
                with contextlib.suppress(CauceError):
                    await client.metadata([])  # what is sent to a node that is not there would be an unknown write
                    await self._try(client, diary, {place: self._score.new_value() for place in missing})
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _try(self, client: Client, diary: Diary, values: dict[Partition, int]) -> None:
        began = time.monotonic()
        topic = next(iter(values))[0]
        rows = [PartitionProduceData(index=number, records=_batch(value)) for (_, number), value in values.items()]
        request = ProduceRequest(
            acks=-1, timeout_ms=10_000, topic_data=[TopicProduceData(name=topic, partition_data=rows)]
        )
        codes: dict[Partition, tuple[int, int]] = {}
        try:
            response = await client.call(None, request)
        except CauceError:  # what became of it is unknown
            codes = dict.fromkeys(values, (ErrorCode.REQUEST_TIMED_OUT, -1))
        else:
            for row in response.responses[0].partition_responses:
                codes[topic, row.index] = (row.error_code, row.base_offset)
        ended = time.monotonic()
        for place, (code, offset) in codes.items():
            if code == ErrorCode.NOT_LEADER_OR_FOLLOWER:
                continue
            took = code == ErrorCode.NONE
            if took:
                self.acknowledged.setdefault(place, ended - self._since)
            sends = (Send(place, values[place], offset if took else None),)
            status = "ok" if took else "info"
            diary.write(Operation(diary.process, diary.next_index(), "send", status, sends, began=began, ended=ended))


def _batch(value: int) -> bytes:
    return bytes(encode_batch([Record(0, 0, None, b"%d:probe" % value)]))
