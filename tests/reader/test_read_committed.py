"""Fetch of committed records from tail, extents and record segments, read as clients do, against what was committed."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from infra.records.batch import BatchHeader
from infra.records.control import Marker, decode_marker, encode_marker
from infra.records.decode import decode_batch
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.wire.messages import fetch as message
from infra.wire.messages import list_offsets
from reader.api.list_offsets import ListOffsetsHandler
from tests.reader.history import adopt, write_segment
from tests.reader.world import TOPIC_ID, Led, World, ask, run, until

READ_COMMITTED = 1


class Producers:
    """Append in transactions, and know what came of them."""

    def __init__(self, led: Led) -> None:
        self.led = led
        self.open: dict[int, list[int]] = {}
        self.sequences: dict[int, int] = {}
        self.values: dict[int, bytes] = {}
        self.committed: set[int] = set()  # offsets, also of batches without a transaction
        self.aborted: set[int] = set()

    def data(self, producer: int, count: int, *, transactional: bool = True) -> None:
        base, log = self.led.log.log_end_offset, self.led.log
        values = [b"%d by %d" % (base + at, producer) for at in range(count)]
        batch = encode_batch(
            [Record(at, 1_000, b"k", value) for at, value in enumerate(values)],
            producer_id=producer,
            producer_epoch=0,
            base_sequence=self.sequences.get(producer, 0),
            transactional=transactional,
        )
        self.sequences[producer] = self.sequences.get(producer, 0) + count
        self._append(batch, log.begin_verification(producer))
        self.values.update(enumerate(values, base))
        offsets = list(range(base, base + count))
        if transactional:
            self.open.setdefault(producer, []).extend(offsets)
        else:
            self.committed.update(offsets)

    def end(self, producer: int, commit: bool) -> None:
        self._append(encode_marker(Marker(producer, 0, 0, commit), 1_000), None)
        (self.committed if commit else self.aborted).update(self.open.pop(producer, ()))

    def _append(self, batch: bytearray, verification: Any) -> None:
        view = memoryview(batch)
        self.led.log.append([(BatchHeader.parse(view), view)], 1_000, 0, verification)
        self.led.appended.append(bytes(view))

    def sync(self) -> None:
        self.led.log.on_synced(self.led.log.log_end_offset)

    @property
    def stable(self) -> int:
        return min((offsets[0] for offsets in self.open.values()), default=self.led.log.log_end_offset)

    def readable(self, offset: int, upto: int) -> list[tuple[int, bytes]]:
        return [(at, self.values[at]) for at in sorted(self.committed) if offset <= at < upto]

    def step(self, chance: random.Random) -> None:
        producer = chance.randint(1, 4)
        kind = chance.choice(["data", "data", "data", "end", "end", "plain"])
        if kind == "data":
            self.data(producer, chance.randint(1, 4))
        elif kind == "end":
            self.end(producer, chance.random() < 0.5)
        else:
            self.data(9, 1, transactional=False)


def consumed(
    batches: Sequence[memoryview], aborted: Sequence[message.AbortedTransaction], offset: int
) -> tuple[list[tuple[int, bytes]], int]:
    """What a client makes of an answer, as Kafka's own does, and where it goes on."""
    starts = sorted(aborted, key=lambda one: one.first_offset)
    gone: set[int] = set()
    found: list[tuple[int, bytes]] = []
    for batch in batches:
        header = BatchHeader.parse(batch)
        while starts and starts[0].first_offset <= header.last_offset:
            gone.add(starts.pop(0).producer_id)
        if header.is_control:
            marker = decode_marker(batch)
            if marker is not None and not marker.commit:
                gone.discard(header.producer_id)
        elif not (header.is_transactional and header.producer_id in gone):
            found += [
                (record.offset, bytes(record.value or b"")) for record in decode_batch(batch) if record.offset >= offset
            ]
        offset = max(offset, header.next_offset)
    return found, offset


async def fetched(world: World, offset: int, *, max_bytes: int = 1 << 20, isolation: int = READ_COMMITTED) -> Any:
    wanted = message.FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=max_bytes)
    request = message.FetchRequest(
        max_wait_ms=0,
        min_bytes=1,
        isolation_level=isolation,
        session_epoch=-1,
        topics=[message.FetchTopic(topic_id=TOPIC_ID, partitions=[wanted])],
    )
    [topic] = (await ask(world.fetches, request, 16)).responses
    [data] = topic.partitions
    assert data.error_code == 0
    return data


def batches_of(data: Any) -> list[memoryview]:
    records, found, position = memoryview(bytes(data.records or b"")), [], 0
    while position < len(records):
        size = BatchHeader.parse(records, position).size
        found.append(records[position : position + size])
        position += size
    return found


async def read_all(world: World, chance: random.Random, offset: int, upto: int) -> list[tuple[int, bytes]]:
    """As a consumer that polls, with whatever limits."""
    found: list[tuple[int, bytes]] = []
    while offset < upto:
        data = await fetched(world, offset, max_bytes=chance.choice([1, 300, 1_000, 1 << 20]))
        assert data.last_stable_offset >= upto
        some, after = consumed(batches_of(data), data.aborted_transactions or (), offset)
        assert after > offset, "a consumer must not stop below the last stable offset"
        found += some
        offset = after
    return found


async def compact(world: World, producers: Producers, upto: int) -> None:
    """Replace the extents that end below `upto`, as the compactor does."""
    log = producers.led.log
    last = max((one.last_offset for one in log.extents_from(log.records_end) if one.last_offset < upto), default=-1)
    base = log.records_end
    if last < base:
        return
    kept = [Record(at, 1_000, b"k", value) for at, value in producers.readable(base, last + 1)]
    adopt(producers.led, [await write_segment(world, log.partition, kept, base, last)])


@pytest.mark.parametrize("tail_bytes", [0, 8_000, 1 << 30])
@pytest.mark.parametrize("seed", range(4))
def test_consumers_read_what_was_committed_and_nothing_else(seed: int, tail_bytes: int) -> None:
    chance = random.Random(seed)

    async def body(world: World) -> None:
        led = world.lead(durability=chance.choice(["wal", "object"]))
        producers = Producers(led)
        for _ in range(8):
            for _ in range(chance.randint(1, 12)):
                producers.step(chance)
            producers.sync()
            if chance.random() < 0.8:
                await led.flush()
            if chance.random() < 0.4:
                await compact(world, producers, led.log.last_stable_offset)
            stable = led.log.last_stable_offset
            begin = chance.randint(0, stable)
            for offset in (0, begin):
                assert await read_all(world, chance, offset, stable) == producers.readable(offset, stable)
            data = await fetched(world, stable)
            assert not data.records
        for producer in list(producers.open):
            producers.end(producer, False)
        producers.sync()
        await led.flush()
        assert led.log.last_stable_offset == led.log.log_end_offset
        assert await read_all(world, chance, 0, led.log.log_end_offset) == producers.readable(0, 1 << 40)

    run(body, tail_bytes=tail_bytes)


@pytest.mark.parametrize("tail_bytes", [0, 1 << 30])
def test_readers_of_uncommitted_records_see_all_of_them(tail_bytes: int) -> None:
    async def body(world: World) -> None:
        producers = Producers(world.lead())
        producers.data(1, 2)
        producers.end(1, False)
        producers.data(2, 2)
        producers.sync()
        await producers.led.flush()
        data = await fetched(world, 0, isolation=0)
        assert data.aborted_transactions is None
        assert (data.high_watermark, data.last_stable_offset) == (5, 3)
        assert [BatchHeader.parse(batch).base_offset for batch in batches_of(data)] == [0, 2, 3]

    run(body, tail_bytes=tail_bytes)


@pytest.mark.parametrize("tail_bytes", [0, 1 << 30])
def test_only_transactions_with_records_in_the_answer_are_told(tail_bytes: int) -> None:
    async def body(world: World) -> None:
        producers = Producers(world.lead())
        for _ in range(5):
            producers.data(1, 1)
            producers.end(1, False)  # 2 * n + 1
        producers.sync()
        await producers.led.flush()
        size = len(producers.led.appended[0]) + len(producers.led.appended[1])
        data = await fetched(world, 4, max_bytes=size)
        assert [(one.producer_id, one.first_offset) for one in data.aborted_transactions] == [(1, 4)]
        at_marker = await fetched(world, 5, max_bytes=1)
        assert [(one.producer_id, one.first_offset) for one in at_marker.aborted_transactions] == [(1, 4)]
        beyond = await fetched(world, 10, max_bytes=1)
        assert beyond.aborted_transactions == []

    run(body, tail_bytes=tail_bytes)


def test_extents_that_are_replaced_during_a_read_still_tell_what_was_aborted() -> None:
    async def body(world: World) -> None:
        producers = Producers(world.lead())
        producers.data(1, 2)
        producers.end(1, False)
        producers.data(2, 1)
        producers.end(2, True)
        producers.sync()
        await producers.led.flush()
        world.store.gate.clear()
        reading = asyncio.create_task(fetched(world, 0))
        await until(lambda: world.store.under_way > 0)
        await compact(world, producers, 6)
        assert not producers.led.log.aborted_between(0, 5)
        world.store.gate.set()
        data = await reading
        assert consumed(batches_of(data), data.aborted_transactions, 0) == (producers.readable(0, 5), 5)

    run(body)


def test_latest_offsets_are_stable_where_that_is_asked() -> None:
    async def body(world: World) -> None:
        producers = Producers(world.lead())
        producers.data(9, 3, transactional=False)
        producers.data(1, 2)
        producers.sync()
        await producers.led.flush()
        handler = ListOffsetsHandler(world.topics, world, world.lookup)

        async def latest(isolation: int, timestamp: int = -1) -> int:
            wanted = list_offsets.ListOffsetsPartition(partition_index=0, timestamp=timestamp)
            topic = list_offsets.ListOffsetsTopic(name="flights", partitions=[wanted])
            request = list_offsets.ListOffsetsRequest(isolation_level=isolation, topics=[topic])
            answer = (await ask(handler, request, 7)).topics[0].partitions[0]
            assert answer.error_code == 0
            return int(answer.offset)

        assert [await latest(0), await latest(1)] == [5, 3]
        assert [await latest(0, -3), await latest(1, -3)] == [0, 0]
        assert await latest(1, 999) == 0

    run(body)
