"""Random histories of a partition against a model of Kafka's retention: what goes when, and what is kept of it."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.compactor_retention.world import Log, producers_of

DAY_MS = 86_400_000
policies = st.sampled_from(["delete", "compact", "compact,delete"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("flush"), st.integers(-DAY_MS, DAY_MS // 8), st.integers(1, 400), st.integers(1, 3)),
        st.tuples(st.just("untimed"), st.integers(1, 400)),
        st.tuples(st.just("compact"), st.integers(1, 2000), st.integers(1, 4)),
        st.tuples(st.just("delete_records"), st.floats(0, 1)),
        st.tuples(st.just("wait"), st.integers(0, DAY_MS // 2)),
        st.tuples(st.just("alter"), policies, st.sampled_from([-1, 1, DAY_MS // 4]), st.integers(-1, 1500)),
        st.tuples(st.just("forget")),
        st.tuples(st.just("restart")),
        st.tuples(st.just("look")),
    ),
    max_size=25,
)


@dataclass
class Kafka:
    """What Kafka's log manager would do, as its documentation and LogSegment rules say; pieces are its segments."""

    pieces: list[tuple[int, int, int, int]] = field(default_factory=list)  # base, last offset, max timestamp, size
    log_start: int = 0
    policy: str = "delete"
    retention_ms: int = -1
    retention_bytes: int = -1
    end: int = 0

    def compact(self, count: int, size: int, floor: int) -> None:
        """The first pieces that are extents become one segment."""
        taken = [piece for piece in self.pieces if piece[1] >= floor][:count]
        others = [piece for piece in self.pieces if piece not in taken]
        one = (taken[0][0], taken[-1][1], max(piece[2] for piece in taken), size)
        self.pieces = sorted([*others, one])

    def look(self, now_ms: int) -> None:
        """One run of the retention task."""
        self._drop_below_start()
        if "delete" not in self.policy:
            return
        while self.pieces and self.retention_ms >= 0:
            ages = [piece[2] for piece in self.pieces if piece[2] >= 0]
            if not ages or now_ms - ages[0] <= self.retention_ms:
                break
            while self.pieces.pop(0)[2] < 0:
                pass
            self._begin_at_first()
        if self.retention_bytes >= 0:
            while self.pieces and sum(piece[3] for piece in self.pieces[1:]) >= self.retention_bytes:
                self.pieces.pop(0)
                self._begin_at_first()
        self._drop_below_start()

    def _begin_at_first(self) -> None:
        self.log_start = max(self.log_start, self.pieces[0][0] if self.pieces else self.end)

    def _drop_below_start(self) -> None:
        self.pieces = [piece for piece in self.pieces if piece[1] >= self.log_start]


@settings(max_examples=120, deadline=None)
@example([("flush", 299_999, 1, 1), ("alter", "delete", 1, 1), ("flush", 0, 1, 1), ("look",)])
@given(steps)
def test_histories(history: list[tuple]) -> None:  # type: ignore[type-arg]
    asyncio.run(_play(history))


async def _play(history: list[tuple]) -> None:  # type: ignore[type-arg]
    log = await Log().start(retention_ms="-1")
    model = Kafka()
    for step, *of in history:
        match step:
            case "flush" | "untimed":
                timestamp = -1 if step == "untimed" else max(0, log.clock.now_ms() + of.pop(0))
                extent = (await log.flush(timestamp, *of)).extent
                model.end = log.end
                model.pieces.append((extent.base_offset, extent.last_offset, timestamp, extent.size))
            case "compact":
                before = await log.manifest()
                waiting = [one for one in log.flushed if one.extent.last_offset >= before.floor]
                if waiting:
                    model.compact(of[1], of[0], before.floor)
                await log.compact(*of)
            case "delete_records":
                offset = round(of[0] * log.end)
                await log.delete_records(offset)
                model.log_start = max(model.log_start, offset)
            case "wait":
                log.clock.seconds += of[0] / 1000
            case "alter":
                model.policy, model.retention_ms, model.retention_bytes = of
                await log.alter(
                    cleanup_policy=model.policy,
                    retention_ms=str(model.retention_ms),
                    retention_bytes=str(model.retention_bytes),
                )
                await log.follow()
            case "forget":
                await log.forget()
            case "restart":
                log.restart()
            case "look":
                await log.look()
                model.look(log.clock.now_ms())
                await _check(log, model)


async def _check(log: Log, model: Kafka) -> None:
    manifest = await log.manifest()
    assert manifest.log_start_offset == model.log_start
    assert manifest.segments == tuple(one for one in manifest.segments if one.last_offset >= model.log_start)
    dead = [one.extent.last_offset for one in log.flushed if one.extent.last_offset < model.log_start]
    assert manifest.producers_upto > max(dead, default=-1), "their batch segments could never be deleted"
    told = {entry.producer_id: entry for entry in manifest.producers}
    for later in log.flushed:
        if later.extent.last_offset >= manifest.producers_upto:
            told.update((entry.producer_id, entry) for entry in later.producers)
    assert tuple(told[key] for key in sorted(told)) == producers_of(log.flushed, log.end), "a producer was lost"
    entries = log.store.keys("manifests/")
    log.restart()
    again = await log.run()
    model.look(log.clock.now_ms())  # what went by its size may have stood before something that is old enough
    if model.log_start == manifest.log_start_offset:
        assert again is None
        assert log.store.keys("manifests/") == entries, "a second look has nothing to do"
    else:
        assert again is not None
        assert again.log_start_offset == model.log_start
