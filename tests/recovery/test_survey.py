"""Up to where partitions are whole in buckets that lack something, and what telling a manifest anew saves."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from infra.clock import SYSTEM_CLOCK
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.cluster.records import TopicNameRecord, TopicRecord
from infra.cluster.topic_mend import half_topics, mend_topic
from infra.cluster.topics import NoView, TopicLedger
from infra.errors import Exists, Refused
from infra.object_key import EpochKey, ManifestKey, RecordSegmentKey, TopicKey, TopicNameKey
from infra.partition import SessionId
from infra.ports import EpochStart
from infra.view.memory import MemoryView
from infra.view.rebuild import rebuild
from infra.view.survey import PartitionSurvey, mend, survey
from tests.view.builders import P0, TOPIC
from tests.view.test_rebuild import S7, S8, Bucket, read_extents

_ULID = "0" * 25


def _run(body: Callable[[Bucket], Awaitable[None]]) -> None:
    async def main() -> None:
        bucket = Bucket()
        await bucket.topic()
        await bucket.epoch(0, 0, S7)
        async with asyncio.timeout(60):
            await body(bucket)

    asyncio.run(main())


def _segment(base: int, last: int, name: str = "A") -> RecordSegment:
    key = RecordSegmentKey(P0, base, last, _ULID + name).key
    return RecordSegment(key, base, last, last - base + 1, 3, -1, ())


async def _manifest(bucket: Bucket, version: int, *added: RecordSegment, removed: Sequence[RecordSegment] = ()) -> None:
    record = ManifestRecord(0, added=added, removed=tuple(one.key for one in removed))
    await bucket.create(ManifestKey(P0, version).key, record.encode())


async def _there(bucket: Bucket, *segments: RecordSegment) -> None:
    for one in segments:
        await bucket.create(one.key, b"row")


async def _surveyed(bucket: Bucket) -> PartitionSurvey:
    [found] = await survey(bucket, read_extents)
    return found


async def _opened(bucket: Bucket) -> tuple[Manifest, int]:
    view = MemoryView()
    await rebuild(view, bucket, read_extents)
    return await ManifestLedger(bucket).read(P0), (await view.partition(P0)).end_offset


def test_a_whole_partition() -> None:
    async def body(bucket: Bucket) -> None:
        segment = _segment(0, 9)
        await _there(bucket, segment)
        await _manifest(bucket, 0, segment)
        await bucket.segment(S7, 0, (P0, 0, 9, 0))  # not deleted yet
        await bucket.segment(S7, 1, (P0, 10, 19, 0))
        found = await _surveyed(bucket)
        assert found == PartitionSurvey(P0, 0, 0, 20, 20, 1, 1, 0, (), newest_manifest=0)
        assert await mend(bucket, found) is None

    _run(body)


def test_a_hole_in_the_last_epoch_and_one_below_it() -> None:
    async def body(bucket: Bucket) -> None:
        await bucket.epoch(1, 20, S8, (EpochStart(0, 0),))
        await bucket.segment(S7, 1, (P0, 10, 19, 0))
        await bucket.segment(S8, 0, (P0, 20, 29, 1))
        await bucket.segment(S8, 2, (P0, 40, 49, 1))
        found = await _surveyed(bucket)
        assert (found.whole_upto, found.end_offset, found.extents, found.void) == (0, 30, 2, 1)
        assert ["0 to 9" in found.missing[0], "30 to 39" in found.missing[1], len(found.missing)] == [True, True, 2]
        assert found.instead is None  # nothing that a manifest could tell

    _run(body)


def test_a_record_segment_that_is_late_while_batch_segments_are_there() -> None:
    async def body(bucket: Bucket) -> None:
        first, late = _segment(0, 9), _segment(10, 19)
        await _there(bucket, first)
        await _manifest(bucket, 0, first)
        await _manifest(bucket, 1, late)
        await bucket.segment(S7, 1, (P0, 10, 29, 0))
        found = await _surveyed(bucket)
        assert (found.whole_upto, found.end_offset, found.missing, found.gives_up) == (30, 30, (), False)
        assert await mend(bucket, found) == 64
        manifest, end_offset = await _opened(bucket)
        assert (manifest.version, manifest.segments, end_offset) == (64, (first,), 30)
        assert (await _surveyed(bucket)).instead is None
        with pytest.raises(Exists):
            await mend(bucket, found)

    _run(body)


def test_a_merged_record_segment_that_is_late_while_those_it_came_from_are_there() -> None:
    async def body(bucket: Bucket) -> None:
        parts, merged = [_segment(0, 9), _segment(10, 19)], _segment(0, 19, "B")
        await _there(bucket, *parts)
        await _manifest(bucket, 0, *parts)
        await _manifest(bucket, 1, merged, removed=parts)
        found = await _surveyed(bucket)
        assert (found.whole_upto, found.record_segments, found.gives_up) == (20, 2, False)
        await mend(bucket, found)
        assert (await _opened(bucket))[0].segments == tuple(parts)

    _run(body)


def test_a_record_segment_that_nothing_stands_for() -> None:
    async def body(bucket: Bucket) -> None:
        first, late, third = _segment(0, 9), _segment(10, 19), _segment(20, 29)
        await _there(bucket, first, third)
        await _manifest(bucket, 0, first, late, third)
        await bucket.segment(S7, 1, (P0, 30, 39, 0))
        found = await _surveyed(bucket)
        assert (found.whole_upto, found.end_offset, found.gives_up) == (10, 40, True)
        assert found.missing == (f"offsets 10 to 19 are missing ({late.key})",)
        await _there(bucket, replace(late, size=3))  # it comes after all
        assert (await _surveyed(bucket)).whole_upto == 40
        await bucket.delete([late.key])
        await mend(bucket, found)
        manifest, end_offset = await _opened(bucket)
        assert (manifest.segments, end_offset) == ((first, third), 40)

    _run(body)


def test_a_manifest_with_a_hole() -> None:
    async def body(bucket: Bucket) -> None:
        first, third = _segment(0, 9), _segment(20, 29)
        await _there(bucket, first, third)
        await _manifest(bucket, 0, first)
        await _manifest(bucket, 2, third)
        await bucket.segment(S7, 1, (P0, 10, 34, 0))
        found = await _surveyed(bucket)
        assert (found.whole_upto, found.end_offset, found.gives_up) == (35, 35, False)
        assert "beyond version 0" in found.missing[0]
        assert await mend(bucket, found) == 64
        manifest, end_offset = await _opened(bucket)
        assert (manifest.segments, end_offset) == ((first,), 35)

    _run(body)


def test_a_manifest_whose_hole_hides_where_the_log_goes_on() -> None:
    async def body(bucket: Bucket) -> None:
        await _manifest(bucket, 1, _segment(0, 9))
        await bucket.segment(S7, 1, (P0, 10, 19, 0))
        found = await _surveyed(bucket)
        assert (found.whole_upto, found.end_offset, found.gives_up) == (0, 0, True)

    _run(body)


def test_a_partition_without_any_epoch_record() -> None:
    async def body(bucket: Bucket) -> None:
        await bucket.delete([EpochKey(P0, 0).key])
        segment = _segment(0, 9)
        await _there(bucket, segment)
        await _manifest(bucket, 0, segment)
        await bucket.segment(S7, 1, (P0, 10, 19, 0))
        found = await _surveyed(bucket)
        assert (found.leader_epoch, found.whole_upto, found.end_offset, found.extents) == (-1, 10, 10, 0)
        assert "every record of epochs/" in found.missing[0]
        assert found.instead is None

    _run(body)


def test_topics_with_one_half() -> None:
    async def body(bucket: Bucket) -> None:
        ledger = TopicLedger(bucket, NoView(), SYSTEM_CLOCK)
        unmade = TopicRecord(UUID(int=7), "unmade", 2)
        await bucket.create(TopicNameKey("unmade", 0).key, TopicNameRecord(unmade).encode())
        [unnamed, half] = await half_topics(bucket, ledger)  # the topic of these tests has no name
        assert (unnamed.record.topic_id, unnamed.lacks) == (TOPIC, "name")
        assert (half.record, half.lacks) == (unmade, "record")
        for one in (unnamed, half, half):
            await mend_topic(bucket, one)
        assert await half_topics(bucket, ledger) == []
        assert {one: record.name for one, (_, record) in (await ledger.all()).items()} == {
            TOPIC: "t",
            unmade.topic_id: "unmade",
        }
        with pytest.raises(Refused):
            await ledger.create("t", 1, {})
        other = TopicRecord(UUID(int=8), "t", 1)
        await bucket.create(TopicKey(other.topic_id, 0).key, other.encode())
        [taken] = await half_topics(bucket, ledger)
        assert (taken.record, taken.taken_by) == (other, TOPIC)
        assert "has lost its name" in taken.problem
        await mend_topic(bucket, taken)
        assert await half_topics(bucket, ledger) == [taken]

    _run(body)


def test_a_session_of_another_time_counts_nothing() -> None:
    async def body(bucket: Bucket) -> None:
        await bucket.segment(S7, 0, (P0, 0, 9, 0))
        await bucket.segment(SessionId(9, 0), 0, (P0, 10, 19, 0))
        found = await _surveyed(bucket)
        assert (found.whole_upto, found.end_offset) == (10, 10)

    _run(body)
