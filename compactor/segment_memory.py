"""What is remembered of batch segments from one look to the next, so that a footer is read once or twice, not for ever.

Footers never change and an extent that is dead stays dead, so of a segment it is enough to know a few extents that
live: while one of them does, the segment stays. When all of those have died and there were more, the footer is read
again. Bounded: segments that there is no room for are read anew each time.
"""

from collections.abc import Iterable, Sequence

from compactor.garbage import ExtentSpan, Ledgers, living

_SPANS = 8  # of one segment
_SEGMENTS = 50_000


class SegmentMemory:
    """Batch segment → some extents of it, and whether they are all that may live."""

    def __init__(self, most: int = _SEGMENTS) -> None:
        self._most = most
        self._spans: dict[str, tuple[Sequence[ExtentSpan], bool]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._spans

    def __len__(self) -> int:
        return len(self._spans)

    def remembered(self) -> list[str]:
        """All segments of which something is remembered."""
        return list(self._spans)

    def spans(self, key: str) -> Sequence[ExtentSpan]:
        """What is remembered of a segment."""
        return self._spans[key][0] if key in self._spans else ()

    def learn(self, key: str, spans: Iterable[ExtentSpan]) -> None:
        """All extents of a segment, as its footer tells; `judge` it next."""
        self._spans[key] = tuple(spans), True

    def judge(self, key: str, ledgers: Ledgers) -> bool:
        """True when the segment is known to be dead; what need not be known any longer is forgotten."""
        if key not in self._spans:
            return False
        spans, complete = self._spans.pop(key)
        live = living(spans, ledgers)
        if live and len(self._spans) < self._most:
            live.sort(key=lambda span: _distance(span, ledgers), reverse=True)
            self._spans[key] = tuple(live[:_SPANS]), complete and len(live) <= _SPANS
        return complete and not live

    def forget(self, keys: Iterable[str]) -> None:
        """They are gone."""
        for key in keys:
            self._spans.pop(key, None)


def _distance(span: ExtentSpan, ledgers: Ledgers) -> int:
    """How far the floor must rise until the extent is dead."""
    known = ledgers.partitions.get(span.partition)
    return span.last_offset - (0 if known is None else min(known.floor, known.producers_upto))
