"""An idempotent producer over changes of leader, compaction and a view that forgets (docs/design.md, sections 4 to 6;
`ingest/producer_state.py`, `infra/cluster/extent_chain.py`, `ingest/log_end.py`, `compactor/producers.py`).

A producer sends sequences 0, 1, … with two in flight and sends again, from the first that is not acknowledged, whenever
it likes. A change of leader is one step here: `takeover` has its parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.models.explorer import Modelled, Rule, Step
from tests.models.implied_log import epoch_at, implied_log

IN_FLIGHT = 2
Window = tuple[tuple[int, int], ...]  # the last sequences and their offsets: as many as are in flight
RULES = {
    "adopted": Rule("a new leader adopts the producer state as of its start offset"),
    "void with its extent": Rule("producer state stands per extent, and is void with it"),
    "together": Rule("sequence state, offset and data become visible together"),
    "in the manifest": Rule("the record that brings record segments in carries the producer state as of their end"),
    "duplicates wait": Rule("a batch sent again is acknowledged when the first one is published, not before"),
    "in the WAL's return": Rule("what a WAL returns counts for the producer state, as what was flushed does"),
}


class Extent(NamedTuple):
    epoch: int
    offset: int
    sequence: int
    after: Window  # the producer's state after it


class Leader(NamedTuple):
    end: int
    window: Window
    published: int


class State(NamedTuple):
    starts: tuple[int, ...] = (0,)  # of the leader epochs; the last one's leader is the one that leads
    leader: Leader = Leader(0, (), 0)
    segments: frozenset[Extent] = frozenset()
    sent: frozenset[Extent] = frozenset()  # PUTs in the air
    records: tuple[object, ...] = ()  # what record segments hold
    manifest: Window = ()  # the producer state as of their end
    view: tuple[int, Window] = (0, ())  # published end and producer state, as the view tells
    cursor: int = 0  # what the producer sends next
    acknowledged: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Producers:
    without: str = ""
    sequences: int = 3
    epochs: int = 3

    def start(self) -> State:
        return State()

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        first = min(set(range(self.sequences + 2)) - state.acknowledged)
        if state.cursor < min(first + IN_FLIGHT, self.sequences):
            yield from self._produce(state, max(state.cursor, first))
        if state.cursor > first:
            yield ("the producer sends again from", first), state._replace(cursor=first)
        for extent in state.sent:
            landed = state._replace(segments=state.segments | {extent}, sent=state.sent - {extent})
            yield ("the PUT lands:", extent[:3]), landed
        yield from self._publish(state)
        if len(state.starts) < self.epochs:
            yield from self._change_leader(state)
        yield from self._compact(state)
        if state.view != (0, ()):
            yield ("the view forgets all",), state._replace(view=(0, ()))

    def _produce(self, state: State, sequence: int) -> Iterator[tuple[Step, State]]:
        leader = state.leader
        known = dict(leader.window)
        after = state._replace(cursor=sequence + 1)
        if sequence in known:
            durable = known[sequence] < leader.published or self.without == "duplicates wait"
            told = after._replace(acknowledged=state.acknowledged | {sequence}) if durable else after
            yield ("sequence", sequence, "was there", "and is acknowledged" if durable else "and waits"), told
        elif not leader.window or sequence == leader.window[-1][0] + 1:
            window = (*leader.window, (sequence, leader.end))[-IN_FLIGHT:]
            extent = Extent(len(state.starts) - 1, leader.end, sequence, window)
            appended = after._replace(
                leader=leader._replace(end=leader.end + 1, window=window), sent=state.sent | {extent}
            )
            if self.without == "together":
                appended = appended._replace(view=(state.view[0], window))
            yield ("sequence", sequence, "is appended at", leader.end), appended
        # else it is out of order: refused, and the producer sends again

    def _publish(self, state: State) -> Iterator[tuple[Step, State]]:
        leader, epoch = state.leader, len(state.starts) - 1
        for extent in state.segments:
            if (extent.epoch, extent.offset) == (epoch, leader.published):
                published = state._replace(
                    leader=leader._replace(published=leader.published + 1),
                    view=(extent.offset + 1, extent.after if self.without != "together" else state.view[1]),
                    acknowledged=state.acknowledged | {extent.sequence},
                )
                yield ("the leader publishes and acknowledges sequence", extent.sequence), published

    def _change_leader(self, state: State) -> Iterator[tuple[Step, State]]:
        end = len(self._log(state))
        window = () if self.without == "adopted" else self._adopted(state, end)
        yield (
            ("another leads from", end, "on with sequences", window),
            state._replace(starts=(*state.starts, end), leader=Leader(end, window, end), view=(end, window)),
        )
        yield from self._return_wal(state, end)

    def _return_wal(self, state: State, end: int) -> Iterator[tuple[Step, State]]:
        """The leader itself comes back, and what its disk held above the bucket's end is returned."""
        epoch = len(state.starts) - 1
        found = sorted(one for one in state.segments | state.sent if one.epoch == epoch and one.offset >= end)
        if not found:
            return
        past = found[-1].offset + 1
        window = self._adopted(state, end) if self.without == "in the WAL's return" else found[-1].after
        returned = state._replace(segments=state.segments | set(found), starts=(*state.starts, past))
        yield (
            ("the leader returns offsets", end, "to", past - 1, "and leads on with sequences", window),
            returned._replace(leader=Leader(past, window, past), view=(past, window)),
        )

    def _adopted(self, state: State, end: int) -> Window:
        """The producer state as of the end: the view's or the manifest's, and what the extents above have changed."""
        begin, window = max(state.view, (len(state.records), state.manifest), key=lambda known: known[0])
        if self.without == "void with its extent":
            found = [one for one in state.segments if one.offset >= begin]
            return max((one.after for one in found), default=window, key=lambda after: after[-1][0])
        live = self._states(state, begin)
        return live[-1] if live and begin < end else window

    def _compact(self, state: State) -> Iterator[tuple[Step, State]]:
        """What is published becomes a record segment, and the batch segments it replaces go."""
        published = state.leader.published
        if len(state.records) < published:
            window = () if self.without == "in the manifest" else self._state_at(state, published)
            kept = frozenset(one for one in state.segments if one.offset >= published)
            log = self._log(state)[:published]
            yield ("compacted up to", published), state._replace(records=log, manifest=window, segments=kept)

    def _state_at(self, state: State, upto: int) -> Window:
        begin = len(state.records)
        return self._states(state, begin)[upto - begin - 1]

    def _states(self, state: State, begin: int) -> list[Window]:
        """The producer state after each record from offset `begin` on."""
        found = {(one.epoch, one.offset): one.after for one in state.segments}
        log = implied_log(state.starts, ((epoch, offset, offset) for epoch, offset in found), begin)
        return [found[epoch_at(state.starts, offset), offset] for offset in range(begin, begin + len(log))]

    def _log(self, state: State) -> tuple[object, ...]:
        found = ((one.epoch, one.offset, one.sequence) for one in state.segments)
        return (*state.records, *implied_log(state.starts, found, len(state.records)))

    def broken(self, state: State) -> str | None:
        log = self._log(state)
        if len(set(log)) < len(log):
            return f"a sequence is in the log twice: {log}"
        for sequence in state.acknowledged:
            if sequence not in log:
                return f"sequence {sequence} was acknowledged, the log has {log}"
        return None


PRODUCERS = Modelled(
    "producers",
    "an idempotent producer over changes of leader, compaction and a view that forgets",
    Producers,
    RULES,
    quick={"sequences": 2, "epochs": 3},
    deep={"sequences": 4, "epochs": 4},
)
