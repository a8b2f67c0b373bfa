"""Loads one partition of `__transaction_state` from its log: all that a coordinator has to go on."""

import asyncio
import logging

from infra.error_code import ErrorCode
from infra.errors import CauceError, NotLeader
from infra.ports import LogReader
from infra.records.batch import BatchHeader
from infra.records.decode import decode_batch
from infra.store.port import Buffer
from ingest.coordinator.ports import LogSource
from ingest.coordinator.transaction_records import TransactionChange, decode_change
from ingest.coordinator.transactions import Transactions

log = logging.getLogger(__name__)


async def load_transactions(source: LogSource, reader: LogReader) -> Transactions:
    """What the log says up to its end, all of it durable. Raises `NotLeader`, `Fenced`, `Unavailable`, `Corrupt`."""
    end = reader.log_end_offset
    await _until_durable(reader, end)
    transactions = Transactions()
    async for batches in source.read_log(reader.partition, reader.log_start_offset, end):
        for batch in batches:
            transactions.replay(_changes(batch))
    return transactions


async def _until_durable(reader: LogReader, end: int) -> None:
    """A record that was appended and is not durable yet may still be lost: nothing may come of it."""
    while reader.high_watermark < end:
        advanced = asyncio.Event()
        unsubscribe = reader.on_advance(advanced.set)
        try:
            if reader.closed:
                raise NotLeader("this coordinator has moved")
            if reader.high_watermark < end:
                await advanced.wait()
        finally:
            unsubscribe()


def _changes(batch: Buffer) -> list[TransactionChange]:
    if BatchHeader.parse(batch).is_control:
        return []
    found = []
    for record in decode_batch(batch):
        try:
            change = decode_change(record.key, record.value)
        except CauceError as error:
            # Kept out rather than keeping a whole coordinator from loading; UNSUPPORTED_VERSION is a newer broker's.
            level = logging.INFO if error.code is ErrorCode.UNSUPPORTED_VERSION else logging.WARNING
            log.log(level, "a record of __transaction_state is passed over: %s", error.message)
            continue
        if change is not None:
            found.append(change)
    return found
