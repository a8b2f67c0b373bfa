"""Asks nodes themselves, again and again, whether they take a write: when the cluster goes on, whatever clients do.

A partition that the asked node does not lead is refused at once and nothing is appended, so each attempt is a value of
its own.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence

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

Wanted = Callable[[], Sequence[Partition]]
Took = Callable[[Partition, float], None]


class Probe:
    """One round of asking."""

    def __init__(self, score: Score, places: Sequence[Partition]) -> None:
        self._score = score
        self._since = time.monotonic()
        self._places = places
        self.acknowledged: dict[Partition, float] = {}  # seconds after the beginning

    def ask(self, bootstraps: Sequence[str]) -> dict[Partition, float]:
        """Until each partition has taken a write from one of these nodes."""
        asking = _ask_all(bootstraps, self._score, self._missing, self._took)
        asyncio.run(asyncio.wait_for(asking, _GIVE_UP_SECONDS))
        return self.acknowledged

    def _missing(self) -> list[Partition]:
        return [place for place in self._places if place not in self.acknowledged]

    def _took(self, place: Partition, when: float) -> None:
        self.acknowledged.setdefault(place, when - self._since)


class Pauses(threading.Thread):
    """Asks all nodes for everything until it is ended, and tells for how long each partition took no write."""

    def __init__(self, score: Score, places: Sequence[Partition], bootstraps: Sequence[str]) -> None:
        super().__init__(name="pauses", daemon=True)
        self._score = score
        self._places = places
        self._bootstraps = bootstraps
        self._ended = threading.Event()
        self._since = time.monotonic()
        self._last: dict[Partition, float] = {}
        self._longest: dict[Partition, float] = {}

    def run(self) -> None:
        """Until it is ended."""
        asyncio.run(_ask_all(self._bootstraps, self._score, self._wanted, self._took))

    def end(self) -> dict[Partition, float]:
        """Partition → the longest time in seconds without an acknowledgement."""
        self._ended.set()
        self.join()
        ended = time.monotonic()
        return {
            place: max(self._longest.get(place, 0.0), ended - self._last.get(place, self._since))
            for place in self._places
        }

    def _wanted(self) -> Sequence[Partition]:
        return () if self._ended.is_set() else self._places

    def _took(self, place: Partition, when: float) -> None:
        self._longest[place] = max(self._longest.get(place, 0.0), when - self._last.get(place, self._since))
        self._last[place] = when


async def _ask_all(bootstraps: Sequence[str], score: Score, wanted: Wanted, took: Took) -> None:
    """Ask each node as long as anything is wanted; `took` is told what was acknowledged when."""
    await asyncio.gather(*(_ask(bootstrap, score, wanted, took) for bootstrap in bootstraps))


async def _ask(bootstrap: str, score: Score, wanted: Wanted, took: Took) -> None:
    diary = Diary(score)
    async with Client(bootstrap) as client:
        while places := wanted():
            with contextlib.suppress(CauceError):
                await client.metadata([])  # what is sent to a node that is not there would be an unknown write
                values = {place: score.new_value() for place in places}
                for place, when in await _try(client, diary, values):
                    took(place, when)
            await asyncio.sleep(_PAUSE_SECONDS)


async def _try(client: Client, diary: Diary, values: dict[Partition, int]) -> list[tuple[Partition, float]]:
    began = time.monotonic()
    topic = next(iter(values))[0]
    rows = [PartitionProduceData(index=number, records=_batch(value)) for (_, number), value in values.items()]
    request = ProduceRequest(acks=-1, timeout_ms=10_000, topic_data=[TopicProduceData(name=topic, partition_data=rows)])
    codes: dict[Partition, tuple[int, int]] = {}
    try:
        response = await client.call(None, request)
    except CauceError:  # what became of it is unknown
        codes = dict.fromkeys(values, (ErrorCode.REQUEST_TIMED_OUT, -1))
    else:
        for row in response.responses[0].partition_responses:
            codes[topic, row.index] = (row.error_code, row.base_offset)
    ended = time.monotonic()
    taken: list[tuple[Partition, float]] = []
    for place, (code, offset) in codes.items():
        if code == ErrorCode.NOT_LEADER_OR_FOLLOWER:
            continue
        took = code == ErrorCode.NONE
        if took:
            taken.append((place, ended))
        sends = (Send(place, values[place], offset if took else None),)
        status = "ok" if took else "info"
        diary.write(Operation(diary.process, diary.next_index(), "send", status, sends, began=began, ended=ended))
    return taken


def _batch(value: int) -> bytes:
    return bytes(encode_batch([Record(0, 0, None, b"%d:probe" % value)]))
