"""Reads record batches out of record segments: row groups turned into batches once, and shared by all their consumers.

A row group is fetched whole, decoded and encoded on the catch-up threads, and kept as record batches; its own bytes are
not. Neighbouring row groups come in one GET. What consumers will ask next is read ahead, within a share of the cache,
so that many of them do not push out what each has waiting.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from infra.errors import CauceError
from infra.segment.record_footer import RecordFooter, read_record_footer
from infra.segment.record_rows import narrow_row_group
from infra.store.port import ObjectStore
from reader.fetch_plan import GroupRead, RecordRead
from reader.group_batches import PLACE_COLUMNS, GroupBatches, Places, batches_of, places_of
from reader.shared_reads import SharedReads

_FOOTER_BYTES = 32 << 20  # of footers kept, as Parquet counts them
_RUN_BYTES = 8 << 20  # of neighbouring row groups in one GET: beyond it a second GET is quicker
_GETS_AT_ONCE = 32
_AHEAD_GROUPS = 128  # read ahead and not yet asked for, of all partitions


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring row groups of one segment, and the GET that brings them."""

    begin: int
    data: "asyncio.Task[bytes]"


class RecordReader:
    """Serves `RecordRead`s; one for a node."""

    def __init__(self, store: ObjectStore, threads: Executor, capacity_bytes: int) -> None:
        """`capacity_bytes` of record batches are kept; half of it may be what is read ahead."""
        self._store = store
        self._threads = threads
        self._ahead_bytes = capacity_bytes // 2
        self._slots = asyncio.Semaphore(_GETS_AT_ONCE)
        self._footers: SharedReads[str, RecordFooter] = SharedReads(self._load_footer, _weigh_footer, _FOOTER_BYTES)
        self._groups: SharedReads[GroupRead, GroupBatches] = SharedReads(self._load, _weigh, capacity_bytes)
        self._runs: dict[GroupRead, _Run] = {}  # whose bytes somebody has begun to read
        self._gets: set[asyncio.Task[bytes]] = set()
        self._ahead: OrderedDict[GroupRead, None] = OrderedDict()  # nobody asked for these yet

    @property
    def size(self) -> int:
        """Bytes of record batches held."""
        return self._groups.weight

    def holds(self, plan: RecordRead) -> bool:
        """Whether a plan needs no more I/O than what is under way."""
        return all(map(self._groups.has, plan.groups))

    async def read(self, plan: RecordRead) -> list[memoryview]:
        """The record batches of a plan, in offset order: the first one contains the plan's offset or follows it.

        Fewer than planned when a row group behind the first cannot be read. Raises `NotFound`, `Corrupt`, `BadStart`
        and `Unavailable`; each names the object.
        """
        self._begin(plan.groups)
        for group in plan.groups:
            self._ahead.pop(group, None)
        parts = await asyncio.gather(*map(self._groups.get, plan.groups), return_exceptions=True)
        batches: list[memoryview] = []
        left = plan.max_bytes
        for part in parts:
            if isinstance(part, BaseException):
                if batches and isinstance(part, CauceError):
                    break  # whoever asks from here on meets it
                raise part
            for batch in part.between(plan.offset, plan.upto):
                if len(batch) > left and (batches or not plan.at_least_one):
                    return batches
                batches.append(batch)
                left -= len(batch)
        return batches

    def read_ahead(self, plan: RecordRead) -> None:
        """Have read what will probably be asked next. Nothing while half of it is there: few GETs, large ones."""
        missing = [group for group in plan.groups if not self._groups.has(group)]
        if 2 * _expected(missing) < _expected(plan.groups):
            return
        for group in [group for group in self._ahead if not self._groups.has(group)]:
            del self._ahead[group]  # it failed, or had to make room
        left = self._ahead_bytes - _expected(self._ahead)
        wanted: list[GroupRead] = []
        for group in missing:
            left -= group.expected_bytes
            if left < 0 or len(self._ahead) >= _AHEAD_GROUPS:
                break
            wanted.append(group)
            self._ahead[group] = None
        self._begin(wanted)

    async def footer(self, segment: str) -> RecordFooter:
        """What a segment tells of its row groups, read once. Raises as `read`."""
        return await self._footers.get(segment)

    async def places(self, read: GroupRead) -> Places:
        """Offsets and timestamps of a row group's records; they are not kept. Raises as `read`."""
        footer = await self.footer(read.segment)
        group = narrow_row_group(footer, read.number, PLACE_COLUMNS)
        data = await self._get_range(read.segment, group.position, group.size)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, places_of, footer, read.number, group, data)

    async def close(self) -> None:
        """Give up what is under way."""
        for get in self._gets:
            get.cancel()
        await self._groups.close()
        await self._footers.close()

    def _begin(self, groups: Sequence[GroupRead]) -> None:
        """Start reading those that are neither kept nor under way."""
        for run in _runs_of(group for group in groups if not self._groups.has(group)):
            get = asyncio.create_task(self._get(run))
            self._gets.add(get)
            get.add_done_callback(self._got)
            self._runs.update((group, _Run(run[0].group.position, get)) for group in run)
        for group in groups:
            self._groups.begin(group)

    async def _load(self, read: GroupRead) -> GroupBatches:
        run = self._runs.pop(read, None)  # None: it was kept when it was asked for, and had to make room
        bringing = self._get([read]) if run is None else asyncio.shield(run.data)
        footer, whole = await asyncio.gather(self.footer(read.segment), bringing)
        begin = 0 if run is None else read.group.position - run.begin
        data = memoryview(whole)[begin : begin + read.group.size]
        return await asyncio.get_running_loop().run_in_executor(self._threads, batches_of, footer, read, data)

    async def _get(self, run: Sequence[GroupRead]) -> bytes:
        begin, end = run[0].group.position, run[-1].end
        return await self._get_range(run[0].segment, begin, end - begin) if begin < end else b""

    async def _get_range(self, segment: str, position: int, length: int) -> bytes:
        async with self._slots:
            return await self._store.get_range(segment, position, length)

    def _got(self, get: "asyncio.Task[bytes]") -> None:
        self._gets.discard(get)
        if not get.cancelled():
            get.exception()  # those whose row groups it should have brought have met it

    async def _load_footer(self, segment: str) -> RecordFooter:
        async with self._slots:
            return await read_record_footer(self._store, segment)


def _runs_of(groups: Iterable[GroupRead]) -> Iterator[list[GroupRead]]:
    """Neighbours in one segment together, up to `_RUN_BYTES`."""
    run: list[GroupRead] = []
    for group in groups:
        if run and (
            group.segment != run[-1].segment
            or group.group.position != run[-1].end
            or group.end - run[0].group.position > _RUN_BYTES
        ):
            yield run
            run = []
        run.append(group)
    if run:
        yield run


def _expected(groups: Iterable[GroupRead]) -> int:
    return sum(group.expected_bytes for group in groups)


def _weigh(batches: GroupBatches) -> int:
    return batches.size


def _weigh_footer(footer: RecordFooter) -> int:
    return int(footer.metadata.serialized_size)
