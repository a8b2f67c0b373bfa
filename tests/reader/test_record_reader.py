"""Row groups as record batches: how few GETs, what is shared, kept and read ahead, and what goes wrong."""

import asyncio
from dataclasses import replace
from hashlib import shake_128

import pytest

from infra.cluster.manifest_record import RecordSegment
from infra.error_code import ErrorCode
from infra.errors import Corrupt, NotFound, Unavailable
from infra.records.batch import BatchHeader
from infra.records.encode import encode_batch
from infra.records.record import Record
from reader import group_batches, record_reader
from reader.fetch_plan import RecordRead, plan_read
from tests.reader.history import adopt, clean, compact, records_in, records_of, write_segment
from tests.reader.world import Led, World, batch_of, limits, offsets_of, run, until, wanted

PLENTY = 1 << 30
GROUP = 1000  # bytes of Parquet in a row group of these tests, about


def planned(led: Led, offset: int = 0, max_bytes: int = PLENTY, upto: int | None = None) -> RecordRead:
    plan = plan_read(led.log, offset, max_bytes, led.log.high_watermark if upto is None else upto, at_least_one=True)
    assert isinstance(plan, RecordRead)
    return plan


async def read(world: World, led: Led, *options: int) -> list[Record]:
    return records_in(await world.catch_up.read(led.log, planned(led, *options)))


def noise(number: int) -> memoryview:
    """A batch of 4 records that compress to no less."""
    values = [shake_128(b"%d" % (number + at)).digest(200) for at in range(4)]
    return memoryview(encode_batch([Record(at, 1_000 + at, b"k", value) for at, value in enumerate(values)]))


async def compacted(world: World, records: int = 40, partition: int = 0, **options: int) -> Led:
    """One record segment of many row groups, some records in each; nothing is left in extents."""
    led = world.lead(partition)
    await led.append_flushed(*(noise(at) for at in range(0, records, 4)))
    await compact(world, led, row_group_bytes=options.pop("row_group_bytes", GROUP), **options)
    world.store.gets.clear()
    return led


def group_gets(world: World) -> list[tuple[str, int, int]]:
    """GETs of row groups: footers are read from the end."""
    return [get for get in world.store.gets if get[1] >= 0]


def test_a_row_group_is_read_once_and_whole() -> None:
    async def body(world: World) -> None:
        led = await compacted(world)
        [segment] = led.log.manifest.segments
        third = segment.row_groups[2]
        got = await read(world, led, third.base_offset + 1, 1)
        assert [one.offset for one in got] == list(range(third.base_offset, third.last_offset + 1))
        assert group_gets(world) == [(segment.key, third.position, third.size)]
        assert len(world.store.gets) == 2  # its footer
        assert await read(world, led, third.last_offset, 1) == got
        assert len(world.store.gets) == 2
        await read(world, led, third.last_offset + 1, 1)
        assert len(world.store.gets) == 3

    run(body)


def test_neighbouring_row_groups_come_in_one_get(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(world: World) -> None:
        led = await compacted(world, 80)
        [segment] = led.log.manifest.segments
        groups = segment.row_groups
        assert len(groups) >= 6
        await read(world, led, groups[2].base_offset, 1)
        world.store.gets.clear()
        assert await read(world, led) == records_of(led)
        before = (segment.key, groups[0].position, groups[2].position - groups[0].position)
        end = groups[-1].position + groups[-1].size
        behind = (segment.key, groups[3].position, end - groups[3].position)
        assert group_gets(world) == [before, behind]
        world.restart()
        world.store.gets.clear()
        monkeypatch.setattr(record_reader, "_RUN_BYTES", min(group.size for group in groups))
        assert await read(world, led) == records_of(led)
        assert len(group_gets(world)) == len(groups)

    run(body)


def test_consumers_share_what_is_read_for_any_of_them() -> None:
    async def body(world: World) -> None:
        led = await compacted(world)
        world.store.gate.clear()
        readings = [asyncio.create_task(read(world, led, at)) for at in (0, 0, 3, 20)]
        await until(lambda: world.store.under_way == 2)
        world.store.gate.set()
        for at, reading in zip((0, 0, 3, 20), readings, strict=True):
            assert [one for one in await reading if one.offset >= at] == records_of(led, at)
        assert len(world.store.gets) == len(set(world.store.gets)) == 2

    run(body)


def test_a_consumer_that_gave_up_finds_what_was_begun() -> None:
    async def body(world: World) -> None:
        led = await compacted(world)
        world.store.gate.clear()
        [answer] = await world.fetcher.fetch([wanted()], limits())
        assert (answer.error, answer.batches) == (ErrorCode.NONE, [])
        world.store.gate.set()
        await until(lambda: world.records.size > 0)
        gets = len(world.store.gets)
        assert await read(world, led) == records_of(led)
        assert len(world.store.gets) == gets

    run(body, alone_seconds=0.01)


@pytest.mark.parametrize("cache_bytes", [0, 3000])
def test_a_cache_too_small_for_an_answer_is_no_fault(cache_bytes: int) -> None:
    async def body(world: World) -> None:
        led = await compacted(world)
        for offset in (0, 17):
            got = await read(world, led, offset)
            assert [one for one in got if one.offset >= offset] == records_of(led, offset)
        assert world.records.size <= cache_bytes

    run(body, cache_bytes=cache_bytes)


def test_batches_are_cut_to_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_batches, "BATCH_BYTES", 500)

    async def body(world: World) -> None:
        led = await compacted(world, row_group_bytes=1 << 20)
        batches = await world.catch_up.read(led.log, planned(led))
        assert len(batches) > 10
        bases, size = offsets_of(batches), len(batches[0])
        for limit, count in ((1, 1), (size, 1), (2 * size, 2), (3 * size - 1, 2)):
            assert offsets_of(await world.catch_up.read(led.log, planned(led, 1, limit))) == bases[:count]
        assert offsets_of(await world.catch_up.read(led.log, planned(led, 0, PLENTY, bases[3]))) == bases[:3]
        assert offsets_of(await world.catch_up.read(led.log, planned(led, 0, PLENTY, bases[3] + 1))) == bases[:3]
        none = replace(planned(led, 0, 10), at_least_one=False)
        assert await world.catch_up.read(led.log, none) == []

    run(body)


def test_batches_carry_the_leader_epoch_of_their_last_offset() -> None:
    async def body(world: World) -> None:
        led = world.lead(epochs=[(1, 0), (4, 10), (6, 20)], end_offset=20)
        records = [Record(at, at, b"k", b"v" * 300) for at in range(20)]
        partition = led.log.partition
        first = await write_segment(world, partition, records[:15], 0, 14, row_group_bytes=300)
        second = await write_segment(world, partition, records[15:], 15, 19, row_group_bytes=300)
        adopt(led, [first, second])
        headers = [BatchHeader.parse(batch) for batch in await world.catch_up.read(led.log, planned(led))]
        assert len(headers) > 3
        for header in headers:
            assert header.leader_epoch == (1 if header.last_offset < 10 else 4)
        assert records_in(await world.catch_up.read(led.log, planned(led))) == records

    run(body)


# Offsets without records


def test_a_consumer_moves_over_what_cleaning_took() -> None:
    async def body(world: World) -> None:
        led = await compacted(world)
        [segment] = led.log.manifest.segments
        await clean(world, led, segment, lambda record: 10 <= record.offset < 20, row_group_bytes=GROUP)
        assert await read(world, led) == records_of(led, 10, 20)
        last = planned(led, 25)
        [batch] = await world.catch_up.read(led.log, last)
        assert BatchHeader.parse(batch).next_offset == 40
        assert [one for one in records_in([batch]) if one.offset >= 25] == []

    run(body)


def test_a_segment_without_records_moves_its_readers_on() -> None:
    async def body(world: World) -> None:
        led = await compacted(world)
        [segment] = led.log.manifest.segments
        await clean(world, led, segment, lambda record: False)
        await led.append_flushed(batch_of(1, 2))
        [batch] = await world.catch_up.read(led.log, planned(led, 7))
        header = BatchHeader.parse(batch)
        assert (header.base_offset, header.last_offset, header.record_count) == (0, 39, 0)
        assert group_gets(world) == []

    run(body)


def test_a_hole_between_segments_is_answered_by_what_follows() -> None:
    async def body(world: World) -> None:
        led = world.lead(end_offset=30)
        records = [Record(at, at, None, b"v") for at in range(30)]
        segments = [
            await write_segment(world, led.log.partition, records[at : at + 5], at, at + 4) for at in (0, 20, 25)
        ]
        adopt(led, segments)
        [answer] = await world.fetcher.fetch([wanted(10)], limits())
        assert records_in(answer.batches) == records[20:]
        [answer] = await world.fetcher.fetch([wanted(2)], limits())
        assert records_in(answer.batches) == records[:5] + records[20:]

    run(body)


# Reading ahead


async def settled(world: World) -> None:
    await until(lambda: not world.records._groups._flights)


def test_a_consumer_that_goes_on_waits_for_nothing() -> None:
    async def body(world: World) -> None:
        await compacted(world, 400)
        offset, fetches = 0, 0
        while offset < 400:
            await settled(world)
            if fetches:
                world.store.gate.clear()  # all that it needs is there
            [answer] = await world.fetcher.fetch([wanted(offset, max_bytes=1500)], limits(max_bytes=1500))
            assert [one for one in records_in(answer.batches) if one.offset >= offset]
            offset, fetches = BatchHeader.parse(answer.batches[-1]).next_offset, fetches + 1
            world.store.gate.set()
        assert len(group_gets(world)) < fetches / 2

    run(body)


def test_little_is_read_ahead_for_who_jumps_about_and_more_for_who_goes_on() -> None:
    async def body(world: World) -> None:
        await compacted(world, 400)
        few = limits(max_bytes=1500)
        await world.fetcher.fetch([wanted(0, max_bytes=1500)], few)
        await settled(world)
        after_jump = world.records.size
        await world.fetcher.fetch([wanted(1, max_bytes=1500)], few)
        await settled(world)
        assert world.records.size > 2 * after_jump

    run(body)


def test_ahead_is_read_half_of_the_cache_at_the_most() -> None:
    async def body(world: World) -> None:
        led = [await compacted(world, 400, partition) for partition in range(4)]
        world.store.gate.clear()
        for one in led:
            world.records.read_ahead(planned(one))
        begun = sum(group.expected_bytes for group in world.records._ahead)
        assert 20_000 - 3000 < begun <= 20_000
        await until(lambda: world.store.under_way > 0)
        gets = len(group_gets(world))
        world.records.read_ahead(planned(led[3]))
        world.store.gate.set()
        await settled(world)
        assert len(group_gets(world)) == gets == 1
        assert world.records.size <= 40_000
        for group in list(world.records._ahead):  # asked for by now: there is room for more
            await world.records.read(RecordRead([group], group.group.base_offset, PLENTY, PLENTY, at_least_one=True))
        world.records.read_ahead(planned(led[3]))
        await settled(world)
        assert len(group_gets(world)) > gets

    run(body, cache_bytes=40_000)


def test_what_was_read_ahead_in_vain_does_not_count_for_ever() -> None:
    async def body(world: World) -> None:
        led = [await compacted(world, 400, partition) for partition in range(2)]
        world.store.down = True
        world.records.read_ahead(planned(led[0]))
        assert world.records._ahead
        await settled(world)
        world.store.down = False
        world.records.read_ahead(planned(led[1]))
        await settled(world)
        assert {group.segment for group in world.records._ahead} == {led[1].log.manifest.segments[0].key}

    run(body, cache_bytes=40_000)


def test_ahead_is_read_in_large_pieces() -> None:
    async def body(world: World) -> None:
        led = await compacted(world, 400)
        groups = planned(led).groups
        near = RecordRead(groups[:8], 0, 400, PLENTY, at_least_one=True)
        world.records.read_ahead(near)
        await settled(world)
        assert len(group_gets(world)) == 1
        world.records.read_ahead(replace(near, groups=groups[2:10]))
        assert len(group_gets(world)) == 1
        world.records.read_ahead(replace(near, groups=groups[5:13]))
        await settled(world)
        assert len(group_gets(world)) == 2

    run(body)


# Faults


def test_a_segment_that_is_gone_has_the_manifest_read_again() -> None:
    async def body(world: World) -> None:
        led, other = await compacted(world), await compacted(world, partition=1)
        [segment] = led.log.manifest.segments
        await world.store.delete([segment.key])
        answers = await world.fetcher.fetch([wanted(), wanted(partition=1)], limits(3600.0))
        assert [answer.error for answer in answers] == [ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NONE]
        assert records_in(answers[1].batches) == records_of(other)
        assert (led.log.manifest_suspected, other.log.manifest_suspected) == (True, False)
        with pytest.raises(NotFound, match=segment.key):
            await read(world, led)

    run(body)


async def damage(world: World, segment: RecordSegment, at: int) -> None:
    body = bytearray(await world.store.get(segment.key))
    body[at] ^= 0xFF
    await world.store.delete([segment.key])
    await world.store.create(segment.key, bytes(body))


def test_damage_is_a_storage_error_that_names_the_object(caplog: pytest.LogCaptureFixture) -> None:
    async def body(world: World) -> None:
        led = await compacted(world)
        [segment] = led.log.manifest.segments
        third = segment.row_groups[2]
        await damage(world, segment, third.position + third.size // 2)
        got = await read(world, led)
        assert got == records_of(led, 0, third.base_offset)  # what lies before it is good
        [answer] = await world.fetcher.fetch([wanted(third.base_offset)], limits(3600.0))
        assert answer.error is ErrorCode.KAFKA_STORAGE_ERROR
        assert segment.key in caplog.text
        assert not led.log.manifest_suspected
        assert await read(world, led, third.last_offset + 1) == records_of(led, third.last_offset + 1)

    run(body)


def test_a_broken_footer_and_an_object_cut_off_are_told() -> None:
    async def body(world: World) -> None:
        led = await compacted(world)
        [segment] = led.log.manifest.segments
        whole = await world.store.get(segment.key)
        for broken in (b"", whole[:500], whole[:-300] + b"!" + whole[-299:], whole[500:]):
            world.restart()
            await world.store.delete([segment.key])
            await world.store.create(segment.key, broken)
            with pytest.raises(Corrupt, match=segment.key):
                await read(world, led)

    run(body)


def test_a_failure_is_not_remembered() -> None:
    async def body(world: World) -> None:
        led = await compacted(world)
        world.store.down = True
        with pytest.raises(Unavailable):
            await read(world, led)
        world.store.down = False
        assert await read(world, led) == records_of(led)

    run(body)


def test_close_gives_up_what_is_under_way() -> None:
    async def body(world: World) -> None:
        led = await compacted(world)
        world.store.gate.clear()
        world.records.read_ahead(planned(led))
        await until(lambda: world.store.under_way == 2)
        await world.records.close()
        await until(lambda: world.store.under_way == 0)

    run(body)
