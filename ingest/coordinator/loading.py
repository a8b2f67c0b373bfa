"""Loads one partition of `__consumer_offsets`: what the view has of it, then the rest from its log.

The view is a shortcut: when it has nothing, or something that this log cannot have brought about, only the log counts.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from infra.errors import Unavailable
from infra.ports import LogReader
from infra.view.port import OffsetChanges, OffsetKey, OffsetRow
from ingest.coordinator.offset_records import Change, GroupChange
from ingest.coordinator.ports import LogSource, OffsetsView
from ingest.coordinator.replay import Replay

log = logging.getLogger(__name__)

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class Loaded:
    """Offsets and groups of a partition as of `upto` (exclusive)."""

    upto: int
    offsets: dict[OffsetKey, OffsetRow] = field(default_factory=dict)
    groups: dict[str, bytes] = field(default_factory=dict)
    view_upto: int | None = None  # how far the view was of use; None: it has to be filled anew
    replayed: list[Change] = field(default_factory=list)  # what the view lacks
    replay: Replay = field(default_factory=Replay)  # the transactions that are open

    def apply(self, changes: Iterable[Change]) -> None:
        """Move on by changes in the order of the log."""
        for change in changes:
            self.replayed.append(change)
            if isinstance(change, GroupChange):
                _put(self.groups, change.group, change.value)
            else:
                _put(self.offsets, (change.group, change.topic, change.partition), change.row)


async def load(view: OffsetsView, source: LogSource, reader: LogReader) -> Loaded:
    """Raises `NotLeader`, `Fenced`, `Unavailable`, `Corrupt` as reading the log does."""
    loaded = await _from_view(view, reader)
    end = reader.log_end_offset
    async for batches in source.read_log(reader.partition, loaded.upto, end):
        for batch in batches:
            loaded.apply(loaded.replay.feed(batch))
    loaded.upto = end
    return loaded


async def _from_view(view: OffsetsView, reader: LogReader) -> Loaded:
    try:
        known = await view.load_offsets(reader.partition)
    except Unavailable as error:
        log.warning("offsets of %s are loaded from the log alone: %s", reader.partition, error.message)
        known = OffsetChanges(0)
    if known.upto < max(reader.log_start_offset, 1) or known.upto > reader.log_end_offset:
        return Loaded(reader.log_start_offset)
    return Loaded(known.upto, _present(known.offsets), _present(known.groups), view_upto=known.upto)


def _present(rows: Mapping[Key, Value | None]) -> dict[Key, Value]:
    return {key: value for key, value in rows.items() if value is not None}


def _put(rows: dict[Key, Value], key: Key, value: Value | None) -> None:
    if value is None:
        rows.pop(key, None)
    else:
        rows[key] = value
