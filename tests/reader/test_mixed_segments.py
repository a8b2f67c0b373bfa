"""Whatever is flushed, compacted, cleaned, trimmed and cut off: consumers get the records that were appended, in order,
byte for byte, across the borders from record segments to extents to tail."""

from collections.abc import Sequence
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.records.batch import BatchHeader, walk_batches
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.wire.messages import fetch as message
from reader.log_source import LedLogs
from tests.reader.history import clean, compact, records_in, records_of
from tests.reader.world import TOPIC_ID, Led, World, ask, run

Kind = Literal["append", "flush", "compact", "clean", "raise", "fetch", "replay"]
Step = tuple[Kind, int, int]

PERCENT = st.integers(0, 100)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5), st.integers(0, 600)),  # records, bytes of each
        st.tuples(st.just("append"), st.integers(1, 5), st.integers(0, 600)),
        st.tuples(st.just("flush"), st.integers(1, 3000), st.just(0)),  # at most so many bytes
        st.tuples(st.just("compact"), PERCENT, st.integers(1, 1000)),  # up to where, bytes of row groups
        st.tuples(st.just("clean"), PERCENT, st.integers(0, 4)),  # which segment, what goes: of each 4 so many
        st.tuples(st.just("raise"), st.integers(0, 60), st.just(0)),  # log start, percent of the high watermark
        st.tuples(st.just("fetch"), PERCENT, st.integers(0, 4000)),  # offset, max bytes
        st.tuples(st.just("replay"), PERCENT, st.just(0)),
    ),
    min_size=12,
    max_size=60,
)


def some_records(number: int, count: int, size: int) -> list[Record]:
    """Every shape of key, value and headers, and times that go back and forth."""
    made = []
    for at in range(count):
        shape = number * 5 + at
        key = (None, b"", b"k%d" % shape)[shape % 3]
        value = (None, bytes([shape % 256]) * size, b"", "é".encode() * size)[shape % 4]
        headers = ((), ((b"h", None),), ((b"\xff", b"v" * (size % 50)), (b"", b"")))[shape % 3]
        made.append(Record(at, 1_000 + (shape * 7919) % 5_000, key, value, headers))
    return made


class History:
    """One partition, what was appended to it, and what cleaning has taken away."""

    def __init__(self, world: World, led: Led) -> None:
        self.world = world
        self.led = led
        self.cleaned: set[int] = set()
        self.batches = 0

    async def carry_out(self, steps: Sequence[Step]) -> None:
        for kind, one, two in steps:
            await getattr(self, f"_{kind}")(one, two)

    def check(self, given: Sequence[Record], offset: int, end: int) -> None:
        """Every record from `offset` up to `end` is there, and none that cleaning took; the tail may keep these."""
        there = records_of(self.led, offset, end)
        assert [one for one in given if one.offset not in self.cleaned] == [
            one for one in there if one.offset not in self.cleaned
        ]
        kept = {one.offset for one in given} & self.cleaned
        assert all(one >= self.led.log.tail_start_offset for one in kept)
        assert list(given) == [one for one in there if one.offset not in self.cleaned or one.offset in kept]

    async def fetch(self, offset: int, max_bytes: int) -> list[memoryview]:
        """What a consumer gets: the CRC of each batch is right, and nothing is over the limit but a first batch."""
        wanted = message.FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=max_bytes)
        topic = message.FetchTopic(topic_id=TOPIC_ID, partitions=[wanted])
        request = message.FetchRequest(max_wait_ms=0, min_bytes=1, max_bytes=50 << 20, topics=[topic])
        [response] = (await ask(self.world.fetches, request, 16)).responses
        [answer] = response.partitions
        assert answer.error_code == 0
        batches = [batch for _, batch in walk_batches(memoryview(answer.records))]
        assert len(batches) <= 1 or len(answer.records) <= max_bytes
        return batches

    async def read_on(self, offset: int, max_bytes: int) -> int:
        """Fetch at `offset`, compare, and answer where the consumer goes on."""
        batches = await self.fetch(offset, max_bytes)
        if not batches:
            assert offset == self.led.log.high_watermark
            return offset
        headers = [BatchHeader.parse(batch) for batch in batches]
        assert headers[0].base_offset <= offset <= headers[0].last_offset
        assert [header.base_offset for header in headers[1:]] == [header.next_offset for header in headers[:-1]]
        following = headers[-1].next_offset
        assert following <= self.led.log.high_watermark
        self.check([one for one in records_in(batches) if one.offset >= offset], offset, following)
        return following

    def _place(self, percent: int) -> int:
        start = self.led.log.log_start_offset
        return start + (self.led.log.high_watermark - start) * percent // 100

    async def _append(self, count: int, size: int) -> None:
        self.batches += 1
        codec = (0, 0, 1, 3, 4)[self.batches % 5]
        self.led.append(memoryview(encode_batch(some_records(self.batches, count, size), codec=codec)))

    async def _flush(self, max_bytes: int, _: int) -> None:
        if self.led.log.published_offset < self.led.log.synced_offset:
            await self.led.flush(max_bytes)

    async def _compact(self, percent: int, row_group_bytes: int) -> None:
        below, published = self.led.log.records_end, self.led.log.published_offset
        end = below + (published - below) * percent // 100
        before = set(self.cleaned)
        await compact(self.world, self.led, end, row_group_bytes=row_group_bytes)
        assert before == self.cleaned

    async def _clean(self, which: int, quarters: int) -> None:
        segments = self.led.log.manifest.segments
        if segments:
            segment = segments[which % len(segments)]
            offsets = range(segment.base_offset, segment.last_offset + 1)
            self.cleaned.update(offset for offset in offsets if offset * 7 % 4 < quarters)
            keep = lambda record: record.offset not in self.cleaned  # noqa: E731
            await clean(self.world, self.led, segment, keep, row_group_bytes=50)

    async def _raise(self, percent: int, _: int) -> None:
        self.led.log.raise_log_start(self._place(percent))

    async def _fetch(self, percent: int, max_bytes: int) -> None:
        await self.read_on(self._place(percent), max_bytes)

    async def _replay(self, percent: int, _: int) -> None:
        offset, mark = self._place(percent), self.led.log.high_watermark
        replayed: list[Record] = []
        async for batches in LedLogs(self.world, self.world.catch_up).read_log(self.led.log.partition, offset, mark):
            replayed += records_in(batches)
        self.check([one for one in replayed if one.offset >= offset], offset, mark)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=STEPS,
    durability=st.sampled_from(["wal", "object"]),
    tail_bytes=st.sampled_from([0, 3000, 1 << 30]),
    cache_bytes=st.sampled_from([0, 5000, 1 << 30]),
    max_bytes=st.sampled_from([1, 1500, 1 << 20]),
)
def test_a_consumer_gets_what_was_appended(
    steps: list[Step], durability: Literal["wal", "object"], tail_bytes: int, cache_bytes: int, max_bytes: int
) -> None:
    async def body(world: World) -> None:
        history = History(world, world.lead(durability=durability))
        await history.carry_out(steps)
        log = history.led.log
        offset = log.log_start_offset
        while offset < log.high_watermark:
            following = await history.read_on(offset, max_bytes)
            assert following > offset
            offset = following
        await history.carry_out([("replay", 0, 0)])
        assert not log.manifest_suspected

    run(body, tail_bytes=tail_bytes, cache_bytes=cache_bytes)
