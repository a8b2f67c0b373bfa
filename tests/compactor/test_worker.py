"""The worker: steps in order with a fresh look after each change, and no partition's trouble is another's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from compactor.compaction_step import CompactionStep
from compactor.meter import Meter
from compactor.partition import PartitionWork, Step
from compactor.planner import CompactionLimits
from compactor.replace import Replacer
from compactor.schedule import Schedule
from compactor.worker import Chore, Worker
from infra.clock import SYSTEM_CLOCK
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord
from infra.cluster.records import TopicRecord
from infra.cluster.state import ClusterState
from infra.errors import Unavailable
from infra.partition import PartitionId, SessionId
from infra.topic_config import topic_settings
from infra.view.port import FORMATS, LiveSession
from tests.compactor.bucket import Written, compaction_of, expected, in_loop, plain, written
from tests.compactor.parts import PARTITION, TOPIC

OTHER = PartitionId(PARTITION.topic_id, 1)


class Noted(Step):
    """A step that notes what it sees, and does what a test gives it to do once for a partition."""

    def __init__(self, replacer: Replacer, change: ManifestRecord | None = None, fail: bool = False) -> None:
        self._replacer = replacer
        self._change = change
        self._fail = fail
        self.seen: list[tuple[PartitionId, int]] = []

    async def run(self, work: PartitionWork) -> Manifest | None:
        self.seen.append((work.partition, work.manifest.version))
        if self._fail and work.partition == PARTITION:
            raise RuntimeError("this partition is cursed")
        if self._change is None or work.manifest.version >= 0:
            return None
        return await self._replacer.replace(work.partition, work.manifest, self._change)


@asynccontextmanager
async def working(
    cluster: Written,
    replacer: Replacer,
    steps: Sequence[Step],
    *,
    meter: Meter | None = None,
    chores: Sequence[Chore] = (),
) -> AsyncIterator[ClusterState]:
    """A worker that runs for the length of a with statement, on a topic of two partitions."""
    record = TopicRecord(TOPIC.topic_id, TOPIC.name, 2, {})
    await cluster.view.put_topic(TOPIC.topic_id, 0, record.encode())
    state = ClusterState(cluster.view.sibling(), SYSTEM_CLOCK, "cluster-1")
    await state.refresh()
    view = cluster.view.sibling()
    await view.use("first")
    worker = Worker(
        state=state,
        view=view,
        replacer=replacer,
        steps=steps,
        schedule=Schedule(0.01, 1),
        settings_of=lambda topic: topic_settings(topic.configs, {}, "object"),
        owner="1.test",
        interval_seconds=0.01,
        clock=SYSTEM_CLOCK,
        meter=meter or Meter(),
        chores=chores,
    )
    tasks = [asyncio.create_task(state.run()), asyncio.create_task(worker.run())]
    try:
        yield state
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (it waits for what tells nobody)
            await asyncio.sleep(0.005)


@in_loop
async def test_a_fresh_look_follows_a_change_and_steps_keep_their_order() -> None:
    async with written() as cluster:
        await cluster.write(5)
        replacer = Replacer(cluster.ledger, cluster.view)
        first, second = Noted(replacer, ManifestRecord(3)), Noted(replacer)
        async with working(cluster, replacer, [first, second]):
            await until(lambda: second.seen)
        assert first.seen[:2] == [(PARTITION, -1), (PARTITION, 0)]
        assert second.seen[0] == (PARTITION, 0)
        assert (await cluster.ledger.read(PARTITION)).log_start_offset == 3


@in_loop
async def test_one_partitions_error_is_logged_once_and_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with written() as cluster:
        await cluster.write(5)
        await cluster.write(5, partition=OTHER)
        replacer, meter = Replacer(cluster.ledger, cluster.view), Meter()
        step = Noted(replacer, fail=True)
        async with working(cluster, replacer, [step], meter=meter):
            await until(lambda: step.seen.count((PARTITION, -1)) >= 3 and step.seen.count((OTHER, -1)) >= 3)
        assert meter.totals()["failures"] >= 3
        assert caplog.text.count("tried again later") == 1


@in_loop
async def test_an_idle_cluster_asks_the_bucket_for_nothing() -> None:
    async with written() as cluster:
        await cluster.write(5)
        replacer = Replacer(cluster.ledger, cluster.view)
        step = Noted(replacer)
        async with working(cluster, replacer, [step]):
            await until(lambda: step.seen)
            cluster.store.counts.clear()
            looks = len(step.seen)
            await until(lambda: len(step.seen) >= looks + 3)
        assert cluster.store.counts == {}
        assert {partition for partition, _ in step.seen} == {PARTITION}  # nothing was written to the other


@in_loop
async def test_work_that_another_has_taken_is_left_to_it() -> None:
    async with written() as cluster:
        await cluster.write(5)
        await cluster.write(5, partition=OTHER)
        assert await cluster.view.take_work(f"compact/{PARTITION}", "another", 3_600_000)
        replacer = Replacer(cluster.ledger, cluster.view)
        step = Noted(replacer)
        async with working(cluster, replacer, [step]):
            await until(lambda: len(step.seen) >= 3)
            assert {partition for partition, _ in step.seen} == {OTHER}
            await cluster.view.give_work(f"compact/{PARTITION}", "another")
            await until(lambda: (PARTITION, -1) in step.seen)
        assert await cluster.view.take_work(f"compact/{PARTITION}", "another", 1000)  # given back at the end


@in_loop
async def test_a_view_that_forgot_a_manifest_is_told_again() -> None:
    async with written() as cluster:
        await cluster.write(5)
        await cluster.ledger.raise_log_start(PARTITION, 2)
        replacer = Replacer(cluster.ledger, cluster.view)
        async with working(cluster, replacer, [Noted(replacer)]) as state:
            await until(lambda: state.manifest_version(PARTITION) == 0)


@in_loop
async def test_compaction_keeps_up_with_two_workers_at_once(tmp_path: Path) -> None:
    async with (
        written() as cluster,
        compaction_of(cluster, tmp_path / "a") as (one, one_replacer, one_meter),
        compaction_of(cluster, tmp_path / "b") as (other, other_replacer, other_meter),
    ):
        limits = CompactionLimits(compaction_bytes=1, compaction_age_seconds=0)
        steps = [
            CompactionStep(one, one_replacer, limits, SYSTEM_CLOCK, one_meter),
            CompactionStep(other, other_replacer, limits, SYSTEM_CLOCK, other_meter),
        ]
        async with working(cluster, one_replacer, steps[:1]), working(cluster, other_replacer, steps[1:]):
            for _ in range(10):
                await cluster.write(20, 20)
                await cluster.write(7, partition=OTHER)
                await asyncio.sleep(0.02)
            for partition in (PARTITION, OTHER):
                await _compacted(cluster, partition)
        for partition in (PARTITION, OTHER):
            assert plain(await cluster.all_rows(partition)) == expected(cluster.records[partition], partition)


@in_loop
async def test_an_outage_is_told_of_once_and_work_goes_on_after_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, replacer, meter):
        for partition in (PARTITION, OTHER):
            await cluster.write(5, partition=partition)
        step = CompactionStep(compaction, replacer, CompactionLimits(1, 0), SYSTEM_CLOCK, meter)
        cluster.store.down = True
        async with working(cluster, replacer, [step], meter=meter):
            await until(lambda: "compaction waits" in caplog.text)
            cluster.store.down = False
            for partition in (PARTITION, OTHER):
                await _compacted(cluster, partition)
            await until(lambda: "compaction goes on" in caplog.text)
        assert caplog.text.count("compaction waits") == 1
        assert meter.totals()["failures"] == 0


@in_loop
async def test_a_chore_is_done_again_whatever_its_outcome() -> None:
    async with written() as cluster:
        done = 0

        async def chore() -> None:
            nonlocal done
            done += 1
            raise Unavailable("the store does not answer")

        async with working(cluster, Replacer(cluster.ledger, cluster.view), [], chores=[Chore("garbage", 0.01, chore)]):
            await until(lambda: done >= 3)


@in_loop
async def test_a_chore_that_waits_out_an_outage_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with written() as cluster:
        done = 0

        async def chore() -> None:
            nonlocal done
            done += 1
            raise Unavailable("Redis does not answer") if done < 3 else RuntimeError("a mistake of ours")

        async with working(cluster, Replacer(cluster.ledger, cluster.view), [], chores=[Chore("garbage", 0.01, chore)]):
            await until(lambda: done >= 5)
        told = [row for row in caplog.records if row.name == "compactor.worker"]
        assert [(row.levelname, row.exc_info is None) for row in told] == [("WARNING", True), ("ERROR", False)]


@in_loop
async def test_while_a_node_of_an_earlier_release_is_there_nothing_is_done() -> None:
    async with written() as cluster:
        await cluster.write(5)
        await cluster.view.register(_node(1), 60_000)
        await cluster.view.register(_node(2, formats=1), 60_000)
        replacer = Replacer(cluster.ledger, cluster.view)
        step, swept = Noted(replacer), list[int]()

        async def sweep() -> None:
            swept.append(1)

        async with working(cluster, replacer, [step], chores=[Chore("sweep", 0.01, sweep)]) as state:
            assert state.behind() == [2]
            await asyncio.sleep(0.2)  # many intervals: nothing tells that nothing was done
        assert not step.seen
        assert not swept


def _node(node_id: int, formats: int = FORMATS) -> LiveSession:
    return LiveSession(SessionId(node_id, 0), {}, None, frozenset({"ingest", "compactor"}), formats)


async def _compacted(cluster: Written, partition: PartitionId) -> None:
    async with asyncio.timeout(20):
        while True:
            if (await cluster.ledger.read(partition)).records_end == cluster.ends[partition]:
                return
            await asyncio.sleep(0.01)
