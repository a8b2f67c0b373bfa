"""Record batches of `__consumer_offsets` to the changes they bring, in order. No I/O.

Offsets committed in a transaction count from its commit marker on, and never when it was aborted.
"""

import logging

from infra.error_code import ErrorCode
from infra.errors import CauceError
from infra.records.batch import BatchHeader
from infra.records.control import decode_marker
from infra.records.decode import decode_batch
from infra.store.port import Buffer
from ingest.coordinator.offset_records import Change, decode_change

log = logging.getLogger(__name__)


class Replay:
    """Feed it the batches of one partition from some offset on."""

    def __init__(self) -> None:
        self._open: dict[int, list[Change]] = {}  # producer id → changes of its open transaction

    def feed(self, batch: Buffer) -> list[Change]:
        """The changes that became valid with this batch. Raises `Corrupt` for bytes that are no batch."""
        header = BatchHeader.parse(batch)
        if header.is_control:
            marker = decode_marker(batch)
            changes = self._open.pop(header.producer_id, []) if marker is not None else []
            return changes if marker is not None and marker.commit else []
        changes = [change for record in decode_batch(batch) if (change := _read(record.key, record.value)) is not None]
        if not header.is_transactional:
            return changes
        self._open.setdefault(header.producer_id, []).extend(changes)
        return []


def _read(key: Buffer | None, value: Buffer | None) -> Change | None:
    try:
        return decode_change(key, value)
    except CauceError as error:
        # Kept out rather than keeping a whole coordinator from loading; UNSUPPORTED_VERSION is a newer broker's.
        level = logging.INFO if error.code is ErrorCode.UNSUPPORTED_VERSION else logging.WARNING
        log.log(level, "a record of __consumer_offsets is passed over: %s", error.message)
        return None
