"""What segments cost a run, without a difference to what nodes read in them: a third of a run went there.

Footers are parsed once, however many nodes read them, and each start anew: what they say depends on their bytes alone.
Batch segments have the column of the records only, where they lie: the others are for engines, and no node reads them.
Sessions are short here: more of their segments tell of holders than a cluster's would.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from infra.segment import batch_segment, footer, holders
from infra.segment.footer import SegmentFooter, footer_bytes
from infra.store.port import Buffer
from reader import segment_reader

_HOLDERS_EVERY = 4

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


@contextmanager
def only_what_is_read() -> Iterator[None]:
    """Within it batch segments are built without the columns that are for engines."""
    schema, small = batch_segment.SCHEMA, batch_segment._SMALL_COLUMNS
    batch_segment.SCHEMA, batch_segment._SMALL_COLUMNS = pa.schema([schema.field("records")]), []
    try:
        yield
    finally:
        batch_segment.SCHEMA, batch_segment._SMALL_COLUMNS = schema, small


@contextmanager
def holders_told_often() -> Iterator[None]:
    """Within it so many segments tell of holders that takeovers meet them."""
    every, holders.HOLDERS_EVERY = holders.HOLDERS_EVERY, _HOLDERS_EVERY
    try:
        yield
    finally:
        holders.HOLDERS_EVERY = every
