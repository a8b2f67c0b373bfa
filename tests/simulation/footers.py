"""Footers of segments are parsed once a run, however many nodes read them: what they say depends on their bytes alone.

Every node and every start reads them anew; parsing them was a seventh of a run.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from infra.segment import footer
from infra.segment.footer import SegmentFooter, footer_bytes
from infra.store.port import Buffer
from reader import segment_reader

_PLACES = (footer, segment_reader)


@contextmanager
def parsed_once() -> Iterator[None]:
    """Within it the parser remembers what it has parsed. What it refuses it refuses each time."""
    before = [(place, place.parse_footer) for place in _PLACES]
    parse = footer.parse_footer
    known: dict[tuple[str, bytes], SegmentFooter] = {}

    def parse_footer(key: str, tail: Buffer) -> SegmentFooter:
        end = bytes(tail[-footer_bytes(key, tail) :])
        found = known.get((key, end))
        if found is None:
            found = known[key, end] = parse(key, tail)
        return found

    for place in _PLACES:
        place.parse_footer = parse_footer
    try:
        yield
    finally:
        for place, original in before:
            place.parse_footer = original
