"""The log that the bucket implies: which of the extents found in batch segments exist, and where the log ends.

One rule decides: *a record of leader epoch e at an offset ≥ the start offset of a later epoch does not exist.* What it
leaves of one epoch is contiguous from the epoch's start. Extents may be there twice with the same bytes (a PUT
that landed late, a WAL sent again, cut at other places); a chain takes each offset from one of them. Pure: whoever
lists the bucket hands in what was found. Must not know of stores, views or sessions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from infra.ports import EpochStart
from infra.segment.extent import Extent, FlushedExtent, ProducerEntry


@dataclass(frozen=True, slots=True)
class ChainedLog:
    """A partition's log above its record segments and log start offset."""

    end_offset: int  # the next offset to assign
    extents: tuple[Extent, ...]  # live, ascending, each offset once
    producers: tuple[ProducerEntry, ...]  # as of end_offset, ascending by producer id
    gaps: tuple[tuple[int, int], ...] = ()  # [first missing offset, next present one): objects that are gone


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The offsets that one leader epoch may hold; `upto` is exclusive, None while the epoch is the last."""

    leader_epoch: int
    first: int
    upto: int | None

    def holds(self, base_offset: int, last_offset: int) -> bool:
        """Whether an extent of this epoch exists."""
        return base_offset >= self.first and (self.upto is None or last_offset < self.upto)


def chain_log(
    epochs: Sequence[EpochStart],
    found: Iterable[FlushedExtent],
    *,
    floor: int = 0,
    producers: Iterable[ProducerEntry] = (),
    producers_upto: int = 0,
    with_last_epoch: bool = True,
) -> ChainedLog:
    """Chain the extents found of one partition by its epoch records (ascending).

    `floor`: the greater of log start offset and end of the record segments; extents wholly below it are dropped, one
    that straddles it stays. `producers`: their state as of `producers_upto`, the end of the record segments.
    `with_last_epoch` False leaves out what the last epoch itself wrote: for whoever rebuilds while a claimant, who
    has fenced that epoch's session, is still to say where it ends.
    """
    by_epoch: dict[int, list[FlushedExtent]] = {}
    for one in found:
        by_epoch.setdefault(one.extent.leader_epoch, []).append(one)
    end = floor
    chained: list[FlushedExtent] = []
    older: list[FlushedExtent] = []  # live but below the floor: they still say which producers there were
    gaps: list[tuple[int, int]] = []
    for stretch in _stretches(epochs):
        live = [one for one in by_epoch.get(stretch.leader_epoch, ()) if _exists(one.extent, stretch)]
        older.extend(one for one in live if one.extent.last_offset < floor)
        if stretch.upto is None:
            end = max(end, stretch.first)
            if with_last_epoch:
                path, end = _walk(live, end)
                chained.extend(path)
        elif end < stretch.upto:
            end = max(end, stretch.first)
            path, holes = _walk_upto(live, end, stretch.upto)
            chained.extend(path)
            gaps.extend(holes)
            end = stretch.upto
    known = {entry.producer_id: entry for entry in producers}
    for one in sorted((*older, *chained), key=_order):
        if one.extent.last_offset >= producers_upto:
            known.update((entry.producer_id, entry) for entry in one.producers)
    return ChainedLog(
        end, tuple(one.extent for one in chained), tuple(known[key] for key in sorted(known)), tuple(gaps)
    )


def is_void(epochs: Sequence[EpochStart], leader_epoch: int, base_offset: int, last_offset: int) -> bool:
    """True when an extent does not exist by the epoch records (ascending, as the newest tells them), for good.

    An epoch that is not among them wrote nothing that exists; one above the last is newer than they are.
    """
    if not epochs or leader_epoch > epochs[-1].leader_epoch:
        return False
    for stretch in _stretches(epochs):
        if stretch.leader_epoch == leader_epoch:
            return not stretch.holds(base_offset, last_offset)
    return True


def is_chain(extents: Sequence[Extent], floor: int, upto: int) -> bool:
    """True when the extents, in this order, hold every offset of [floor, upto) once: what a consistent view knows."""
    if not extents:
        return floor >= upto
    if extents[0].base_offset > floor or extents[-1].last_offset != upto - 1:
        return False
    return all(one.last_offset + 1 == after.base_offset for one, after in pairwise(extents))


def _stretches(epochs: Sequence[EpochStart]) -> Iterator[_Stretch]:
    for epoch, later in zip_longest(epochs, epochs[1:]):
        yield _Stretch(epoch.leader_epoch, epoch.start_offset, later.start_offset if later else None)


def _exists(extent: Extent, stretch: _Stretch) -> bool:
    return stretch.holds(extent.base_offset, extent.last_offset)


def _order(one: FlushedExtent) -> tuple[int, int, int, str]:
    extent = one.extent
    return extent.base_offset, -extent.last_offset, extent.leader_epoch, extent.segment


def _walk(live: Sequence[FlushedExtent], begin: int) -> tuple[list[FlushedExtent], int]:
    """The extents that lead furthest from `begin` without a gap or an overlap, and the offset they lead to.

    An extent that straddles `begin` may be the first: what lies below it in the epoch existed once.
    """
    came_by: dict[int, FlushedExtent] = {}  # an offset that can be reached → the extent that ends there
    for one in sorted(live, key=_order):
        base, past = one.extent.base_offset, one.extent.last_offset + 1
        if past > begin and (base <= begin or base in came_by):
            came_by.setdefault(past, one)
    end = position = max(came_by, default=begin)
    path: list[FlushedExtent] = []
    while position > begin:
        path.append(came_by[position])
        position = came_by[position].extent.base_offset
    path.reverse()
    return path, end


def _walk_upto(
    live: Sequence[FlushedExtent], begin: int, upto: int
) -> tuple[list[FlushedExtent], list[tuple[int, int]]]:
    """The same up to an end that is known to have existed: what is missing on the way is a gap, not the end."""
    path: list[FlushedExtent] = []
    gaps: list[tuple[int, int]] = []
    while begin < upto:
        steps, reached = _walk(live, begin)
        path.extend(steps)
        if not steps:
            reached = min((one.extent.base_offset for one in live if one.extent.base_offset > begin), default=upto)
            gaps.append((begin, reached))
        begin = reached
    return path, gaps
