"""Looks through a whole bucket: what is missing, what nothing refers to and since when, and what is damaged.

Needs no node and disturbs none: objects are listed first and judged by the ledgers read after that, as garbage is. What
seems to be missing is looked for a second time, because a bucket in use changes while it is read. Since when an object
is dead is told by the store's own times: not before it was made, and not before the newest ledger record that its fate
depends on.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from compactor.dead_objects import dead_objects
from compactor.garbage import ExtentSpan, Ledgers
from compactor.ledger_reader import Damage, LedgerReader
from compactor.missing_objects import gone_offsets, unlisted_segments
from compactor.sweep import Listed, recognise, topic_of
from infra.all_of import all_of
from infra.cluster.topics import TopicLedger
from infra.errors import BadStart, Corrupt, NotFound
from infra.object_key import BatchSegmentKey, ObjectKey, RecordSegmentKey, parse_key
from infra.segment.footer import read_extents
from infra.segment.record_footer import RecordFooter, read_record_footer
from infra.store.port import ObjectStore

Kind = Literal["missing", "unreferenced", "damaged"]
Progress = Callable[[str, int, int | None], None]
"""Told of a stage, how many objects of it are done, and how many there are (None: nobody knows)."""

ReadRecordFooter = Callable[[ObjectStore, str], Awaitable[RecordFooter]]

_FOOTERS_AT_ONCE = 16
_TOLD_EVERY = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    kind: Kind
    key: str  # of the object; of the partition's epochs where offsets are missing
    problem: str  # a sentence; with what to do where something can be done
    topic_id: UUID | None = None
    size: int = 0  # bytes of an unreferenced object
    modified_ms: int = -1  # when it was made
    dead_since_ms: int = -1  # since when, at the latest, nothing refers to it


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What one look through a bucket found."""

    objects: int
    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]  # keys that are none of ours: left alone
    ledgers: Ledgers

    def of(self, kind: Kind) -> list[Finding]:
        """The findings of one kind."""
        return [one for one in self.findings if one.kind == kind]

    @property
    def names(self) -> Mapping[UUID, str]:
        """Of all topics that a ledger knows."""
        return {one: state.record.name for one, state in self.ledgers.topics.items() if state.record is not None}

    @property
    def sound(self) -> bool:
        """Whether nothing is missing and nothing damaged."""
        return all(one.kind == "unreferenced" for one in self.findings)


@dataclass(slots=True)
class _Look:
    """What one pass has read."""

    objects: list[Listed] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    spans: dict[str, tuple[ExtentSpan, ...]] = field(default_factory=dict)  # batch segment → its extents
    damaged: list[Damage] = field(default_factory=list)


class BucketCheck:
    """Looks through one bucket. Reads only."""

    def __init__(
        self,
        store: ObjectStore,
        topics: TopicLedger,
        progress: Progress = lambda stage, done, of: None,
        read_record_footer: ReadRecordFooter = read_record_footer,
    ) -> None:
        self._store = store
        self._topics = topics
        self._progress = progress
        self._read_record_footer = read_record_footer

    async def run(self) -> CheckReport:
        """Look through all of it. Raises `Unavailable`."""
        report = await self._pass()
        if not report.of("missing"):
            return report
        again = await self._pass()
        before = {(one.key, one.problem) for one in report.of("missing")}
        findings = tuple(one for one in again.findings if one.kind != "missing" or (one.key, one.problem) in before)
        return CheckReport(again.objects, findings, again.unknown, again.ledgers)

    async def _pass(self) -> CheckReport:
        look = await self._list()
        await self._read_batch_segments(look)
        reader = LedgerReader(self._store, self._topics)
        topics = {topic_id for one in look.objects if (topic_id := topic_of(one.key)) is not None}
        topics.update(span.partition.topic_id for spans in look.spans.values() for span in spans)
        ledgers = await reader.read(None, topics)
        look.damaged += reader.damaged
        await self._read_record_segments(look, ledgers)
        findings = [Finding("damaged", one.key, one.problem, _topic_in(one.key)) for one in look.damaged]
        findings += [
            Finding("unreferenced", dead.info.key, dead.reason, topic_of(dead.key), dead.info.size, *dead.times)
            for dead in dead_objects(look.objects, look.spans, ledgers)
        ]
        findings += await self._missing(look, ledgers)
        return CheckReport(len(look.objects), tuple(findings), tuple(look.unknown), ledgers)

    async def _list(self) -> _Look:
        look = _Look()
        async for info in self._store.list(""):
            listed = recognise(info)
            if listed is None:
                look.unknown.append(info.key)
            else:
                look.objects.append(listed)
            if len(look.objects) % _TOLD_EVERY == 0:
                self._progress("objects listed", len(look.objects), None)
        self._progress("objects listed", len(look.objects), len(look.objects))
        return look

    async def _read_batch_segments(self, look: _Look) -> None:
        async def read(one: Listed) -> None:
            look.spans[one.info.key] = tuple(map(ExtentSpan.of, await read_extents(self._store, one.info.key)))

        segments = [one for one in look.objects if isinstance(one.key, BatchSegmentKey)]
        look.damaged += await self._read("batch segments read", segments, read)

    async def _read_record_segments(self, look: _Look, ledgers: Ledgers) -> None:
        sizes = {key: size for known in ledgers.partitions.values() for key, size in known.sizes.items()}

        async def read(one: Listed) -> None:
            said = sizes[one.info.key]
            if one.info.size != said:
                raise Corrupt(f"it has {one.info.size} bytes, its manifest says {said}")
            _check_footer(one.key, await self._read_record_footer(self._store, one.info.key))

        segments = [one for one in look.objects if one.info.key in sizes]
        look.damaged += await self._read("record segments read", segments, read)

    async def _read(self, stage: str, objects: Sequence[Listed], read: Callable[[Listed], Any]) -> list[Damage]:
        """Read the footers of these objects, several at a time; answers what is damaged."""

        async def checked(one: Listed) -> Damage | None:
            try:
                await read(one)
            except (Corrupt, BadStart) as error:
                return Damage(one.info.key, error.message)
            except NotFound:  # deleted since it was listed
                pass
            return None

        damaged: list[Damage] = []
        for begin in range(0, len(objects), _FOOTERS_AT_ONCE):
            some = objects[begin : begin + _FOOTERS_AT_ONCE]
            damaged += [one for one in await all_of(map(checked, some)) if one is not None]
            self._progress(stage, begin + len(some), len(objects))
        return damaged

    async def _missing(self, look: _Look, ledgers: Ledgers) -> list[Finding]:
        listed = {one.info.key for one in look.objects}
        findings = [
            Finding("missing", key, problem, _topic_in(key))
            for key, problem in unlisted_segments(listed, ledgers)
            if await self._store.head(key) is None
        ]
        return findings + [Finding("missing", *one) for one in gone_offsets(look.spans, ledgers)]


def _check_footer(key: ObjectKey, footer: RecordFooter) -> None:
    if not isinstance(key, RecordSegmentKey):
        raise Corrupt("a manifest names it, and it is no record segment")
    named = (key.partition, key.base_offset, key.last_offset)
    if (footer.partition, footer.base_offset, footer.last_offset) != named:
        raise Corrupt(f"its footer says offsets {footer.base_offset} to {footer.last_offset} of {footer.partition}")


def _topic_in(key: str) -> UUID | None:
    try:
        return topic_of(parse_key(key))
    except Corrupt:  # the name of a ledger
        return None
