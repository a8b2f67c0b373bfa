"""The high watermark that consumers see over changes of leader (docs/design.md, sections 4, 5 and 7;
`ingest/partition_log.py`, `reader/followed_log.py`, `reader/subscription.py`, `reader/api/list_offsets.py`).

Consumers ask leaders, of which one may not know that it is over, and a reader node that follows them. A change of
leader is one step here, after the old leader's session has lapsed: the new one begins with what was
published, and perhaps more of what the old one had sent. With `unclean` the topic is at durability `wal` and an unclean
election may lose what was not published; a reader node must give it up then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.models.explorer import Modelled, Rule, Step

RULES = {
    "published first": Rule(
        "the high watermark of durability `object` moves when a segment is in the bucket and published"
    ),
    "nothing above": Rule("a reader node gives nothing at or above a high watermark that a leader told"),
    "newer leaders only": Rule("a reader node does not go back to an earlier leader when the view does"),
    "TTL": Rule("a leader tells where the log ends only within its session's TTL"),
}
UNCLEAN_RULES = {
    "cut": Rule("what an unclean election has lost is cut off the reader node's tail"),
    "cut at the first": Rule(
        "the cut is where the first leader after the one followed started, not where the last did"
    ),
}


class Leader(NamedTuple):
    """Of one epoch; its log from offset 0 on. Only the last epoch's changes any more."""

    start: int
    log: tuple[int, ...]
    published: int
    high_watermark: int


class State(NamedTuple):
    leaders: tuple[Leader, ...] = (Leader(0, (), 0, 0),)
    named: int = 0  # the epoch whose leader the view names
    followed: int = 0  # by the reader node
    tail: tuple[int, ...] = ()  # of the reader node, from offset 0 on
    high_watermark: int = 0  # as the reader node tells it
    seen: frozenset[tuple[int, int]] = frozenset()  # (offset, value) that a consumer got
    told: int = 0  # the highest watermark that a consumer was told
    listed: int = 0  # the last answer of ListOffsets, and what had been told by then
    known: int = 0
    values: int = 0


@dataclass(frozen=True)
class HighWatermark:
    without: str = ""
    unclean: int = 0
    values: int = 3
    epochs: int = 3

    def start(self) -> State:
        return State()

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        yield from self._lead(state)
        yield from self._follow(state)
        for epoch in range(state.named):
            yield ("the view goes back to the leader of epoch", epoch), state._replace(named=epoch)
        if state.named < len(state.leaders) - 1:
            yield ("the view names the newest leader",), state._replace(named=len(state.leaders) - 1)
        for epoch, leader in enumerate(state.leaders):
            if epoch == len(state.leaders) - 1 or self.without == "TTL":
                listed = state._replace(listed=leader.high_watermark, known=state.told)
                yield ("the leader of epoch", epoch, "lists", leader.high_watermark), self._tell(listed, leader)

    def _lead(self, state: State) -> Iterator[tuple[Step, State]]:
        leader = state.leaders[-1]
        early = self.without == "published first"
        if state.values < self.values:
            log = (*leader.log, state.values)
            appended = leader._replace(log=log, high_watermark=len(log) if early else leader.high_watermark)
            yield ("the leader appends", state.values), _led(state, appended)._replace(values=state.values + 1)
        if leader.published < len(leader.log):
            published = leader._replace(published=leader.published + 1)
            if not self.unclean and not early:
                published = published._replace(high_watermark=published.published)
            yield ("the leader publishes up to", published.published), _led(state, published)
        if self.unclean and leader.high_watermark < len(leader.log):
            synced = leader._replace(high_watermark=len(leader.log))
            yield ("the WAL has all up to", len(leader.log)), _led(state, synced)
        if len(state.leaders) < self.epochs:
            for end in range(leader.published, len(leader.log) + 1):
                after = Leader(end, leader.log[:end], end, end)
                led = state._replace(leaders=(*state.leaders, after), named=len(state.leaders))
                yield ("another leads from", end, "on"), led

    def _follow(self, state: State) -> Iterator[tuple[Step, State]]:
        """The reader node, and a consumer that reads there."""
        older_too = self.without == "newer leaders only"
        if state.named > state.followed or (older_too and state.named != state.followed):
            starts = [leader.start for leader in state.leaders[state.followed + 1 : state.named + 1]]
            cut = starts[0] if starts else state.leaders[state.named].start
            if self.without == "cut at the first":
                cut = state.leaders[state.named].start
            tail = state.tail if self.without == "cut" else state.tail[:cut]
            high_watermark = min(state.high_watermark, len(tail))
            followed = state._replace(followed=state.named, tail=tail, high_watermark=high_watermark)
            yield ("the reader follows epoch", state.named, "and has", tail), followed
        leader = state.leaders[state.followed]
        if len(state.tail) <= len(leader.log):
            upto = len(leader.log) if self.without == "nothing above" else leader.high_watermark
            tail = (*state.tail, *leader.log[len(state.tail) : upto])
            told = len(tail) if self.without == "nothing above" else leader.high_watermark
            high_watermark = max(state.high_watermark, min(told, len(tail)))
            fetched = state._replace(tail=tail, high_watermark=high_watermark)
            yield ("the reader fetches and has", tail, "up to", high_watermark), fetched
        given = state.tail[: state.high_watermark]
        read = state._replace(seen=state.seen | set(enumerate(given)), told=max(state.told, state.high_watermark))
        yield ("a consumer reads", given), read

    def _tell(self, state: State, leader: Leader) -> State:
        return state._replace(told=max(state.told, leader.high_watermark))

    def broken(self, state: State) -> str | None:
        leader = state.leaders[state.followed]
        if state.tail != leader.log[: len(state.tail)] and len(state.tail) <= len(leader.log):
            return f"the reader node has {state.tail}, the leader that it follows {leader.log}"
        if self.unclean:
            return None
        if state.listed < state.known:
            return f"ListOffsets answered {state.listed}, and {state.known} had been told before"
        log = state.leaders[-1].log
        for offset, value in state.seen:
            if offset >= len(log) or log[offset] != value:
                return f"a consumer read value {value} at offset {offset}, the log is {log}"
        if state.high_watermark < max((offset + 1 for offset, _ in state.seen), default=0):
            return f"the reader's high watermark fell to {state.high_watermark}, below what consumers have read"
        return None


def _led(state: State, leader: Leader) -> State:
    return state._replace(leaders=(*state.leaders[:-1], leader))


HIGH_WATERMARK = Modelled(
    "high watermark",
    "what leaders and a reader node tell consumers over changes of leader",
    HighWatermark,
    RULES,
    quick={"values": 2, "epochs": 3},
    deep={"values": 4, "epochs": 4},
)
UNCLEAN_READER = Modelled(
    "reader and unclean election",
    "a reader node gives up what an unclean election has lost",
    HighWatermark,
    UNCLEAN_RULES,
    quick={"unclean": 1, "values": 2, "epochs": 3},
    deep={"unclean": 1, "values": 4, "epochs": 4},
)
