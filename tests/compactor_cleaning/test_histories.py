"""Random histories of a compacted partition: what Kafka guarantees a consumer that reads while the cleaner runs."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compactor_cleaning.world import Consumer, Log, Row, table_state

KEEP_MS = 1_000_000  # delete.retention.ms
LAG_MS = 50_000
keys = st.sampled_from([None, "a", "b", "c", "d", "e"])
values = st.one_of(st.none(), st.text("xyz", max_size=3))
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("append"),
            st.lists(st.tuples(keys, values), max_size=8),
            st.integers(-200_000, 20_000),
            st.sampled_from([1, 1 << 20]),
        ),
        st.tuples(st.just("clean")),
        st.tuples(st.just("turn")),
        st.tuples(st.just("restart"), st.sampled_from([200, 400, 1 << 20])),
        st.tuples(st.just("wait"), st.integers(0, KEEP_MS)),
        st.tuples(st.just("begin")),
        st.tuples(st.just("poll"), st.integers(0, 3), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("race"), st.lists(st.tuples(keys, values), max_size=3)),
    ),
    min_size=5,
    max_size=30,
)


configs = st.fixed_dictionaries(
    {
        "min_cleanable_dirty_ratio": st.sampled_from(["0", "0.3"]),
        "min_compaction_lag_ms": st.sampled_from(["0", str(LAG_MS)]),
        "segment_bytes": st.sampled_from(["14", "2000", "9999999"]),
        "delete_retention_ms": st.just(str(KEEP_MS)),
    }
)
turn_bytes = st.sampled_from([1, 1 << 30])  # the first: a turn ends after each piece of work


@settings(max_examples=120, deadline=None)
@given(steps, configs, turn_bytes)
def test_histories(history: list[tuple], configs: dict[str, str], most: int) -> None:  # type: ignore[type-arg]
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as threads:
        with patch("compactor.cleaning_step._TURN_BYTES", most):
            asyncio.run(_play(Log(Path(folder), threads), history, configs))


async def _play(log: Log, history: list[tuple], configs: dict[str, str]) -> None:  # type: ignore[type-arg]
    await log.start(**configs)
    consumers = [Consumer(log)]
    for step, *of in history:
        match step:
            case "append":
                timestamp = max(0, log.clock.now_ms() + of[1])
                await log.append(of[0], timestamp=timestamp, row_group_bytes=of[2])
            case "clean":
                await log.clean()
                await _check_clean(log)
            case "turn":
                await log.run()
            case "restart":
                log.restart(of[0])
            case "wait":
                log.clock.seconds += of[0] / 1000
            case "begin":
                consumers.append(Consumer(log))
            case "poll":
                consumer = consumers[of[0] % len(consumers)]
                await consumer.poll(of[1], refresh=of[2])
            case "race":
                work = await log.work()
                await log.append(of[0])
                await log.cleaning.run(work)
        await _check(log, int(configs["min_compaction_lag_ms"]))
    consumers.append(Consumer(log))
    for consumer in consumers:
        await consumer.finish()
        _check_seen(log, consumer)


async def _check(log: Log, lag_ms: int) -> None:
    """What is left was written so, in that order; the final state is in it; young records are."""
    rows = await log.rows()
    written = {row.offset: row for row in log.written}
    assert [written[row.offset] for row in rows] == rows
    assert [row.offset for row in rows] == sorted({row.offset for row in rows})
    assert table_state(rows) == table_state(log.written)
    if lag_ms:
        left = {row.offset for row in rows}
        assert all(row.offset in left for row in log.written if row.timestamp > log.clock.now_ms() - lag_ms)


async def _check_clean(log: Log) -> None:
    """Below `cleaned_upto` every key stands once."""
    manifest = await log.manifest()
    clean = [row for row in await log.rows() if row.offset < manifest.cleaned_upto]
    assert None not in {row.key for row in clean}
    assert len({row.key for row in clean}) == len(clean)
    before = log.store.keys()
    log.restart()
    due = [one for one in manifest.segments if one.cleaned_ms >= 0 and one.cleaned_ms + KEEP_MS <= log.clock.now_ms()]
    assert due == []
    assert await log.cleaning.run(await log.work()) is None, "another run has nothing to do"
    assert log.store.keys() == before


def _check_seen(log: Log, consumer: Consumer) -> None:
    """Kafka's words: at least the final state of all records in the order they were written; and all tombstones, if it
    came to the end within delete.retention.ms.
    """
    offsets = [row.offset for row in consumer.seen]
    assert offsets == sorted(set(offsets))
    final = _last_of_each_key(log.written)
    seen = _last_of_each_key(consumer.seen)
    for key, row in final.items():
        if row.value is not None:
            assert seen.get(key) == row
        elif log.clock.seconds - consumer.began < KEEP_MS / 1000:
            assert key not in seen or seen[key] == row, "a value was seen whose deletion was not"


def _last_of_each_key(rows: list[Row]) -> dict[bytes, Row]:
    return {row.key: row for row in rows if row.key is not None}
