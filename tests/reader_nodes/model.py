"""A leader's log as a plain list, what the view and the bucket say of it, and a follower driven step by step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord, RecordSegment, RowGroup
from infra.partition import PartitionId
from infra.ports import EpochStart
from infra.records.batch import BatchHeader, stamp
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.segment.extent import Extent
from infra.view.port import PublishedPartition
from reader.followed_log import FollowedLog, is_whole

PARTITION = PartitionId(UUID(int=0xF0), 0)
Batch = tuple[BatchHeader, bytes]


def joined(batches: Sequence[Batch]) -> memoryview:
    return memoryview(b"".join(data for _, data in batches))


@dataclass
class Leader:
    """The partition, whoever leads it."""

    epochs: list[EpochStart] = field(default_factory=lambda: [EpochStart(0, 0)])
    batches: list[Batch] = field(default_factory=list)
    high_watermark: int = 0
    published: int = 0
    extents: list[Extent] = field(default_factory=list)  # as the view has them
    manifest: Manifest = field(default_factory=Manifest)
    made: int = 0
    keys: set[str] = field(default_factory=set)  # of record segments that ever were

    @property
    def end(self) -> int:
        return self.batches[-1][0].next_offset if self.batches else self.epochs[-1].start_offset

    def append(self, records: int) -> None:
        self.made += 1  # so that a batch written again at an offset differs
        batch = memoryview(encode_batch([Record(at, 0, None, b"%d" % self.made) for at in range(records)]))
        stamp(batch, self.end, self.epochs[-1].leader_epoch)
        self.batches.append((BatchHeader.parse(batch), bytes(batch)))

    def advance(self, percent: int) -> None:
        """The WAL has synced so far: the high watermark may be ahead of what is published."""
        goal = self.high_watermark + (self.end - self.high_watermark) * percent // 100
        ends = [header.next_offset for header, _ in self.batches if header.next_offset <= goal]
        self.high_watermark = max([self.high_watermark, *ends])

    def publish(self, most: int) -> None:
        """Flush so many batches of one epoch that are below the high watermark."""
        part = [header for header, _ in self.batches if self.published < header.next_offset <= self.high_watermark]
        part = [header for header in part if header.leader_epoch == part[0].leader_epoch][:most]
        if part:
            base, last = part[0].base_offset, part[-1].last_offset
            size = sum(header.size for header in part)
            self.extents.append(
                Extent(PARTITION, f"b{base}", base, last, part[0].leader_epoch, len(part), len(part), size, 0, 0)
            )
            self.published = last + 1

    def compact(self, extents: int) -> None:
        """The manifest comes first; the view forgets the extents only when it is told to."""
        part = [one for one in self.extents if one.last_offset >= self.manifest.floor][:extents]
        if part:
            base = max(self.manifest.records_end, part[0].base_offset)
            last = part[-1].last_offset
            key = f"r{base}-{last}-{self.manifest.version}"
            group = RowGroup(base, last, 4, 100)
            segment = RecordSegment(key, base, last, last + 1 - base, 100, 0, (group,))
            self.keys.add(key)
            self.manifest = self.manifest.apply(ManifestRecord(0, added=(segment,)))

    def forget(self) -> None:
        """The view trims what the manifest has replaced."""
        self.extents = [one for one in self.extents if one.last_offset >= self.manifest.floor]

    def grow(self, batches: int) -> None:
        """Batches that are published at once."""
        for _ in range(batches):
            self.append(2)
        self.advance(100)
        self.publish(batches)

    def replace(self, extents: int) -> None:
        """Compact, and let the view forget."""
        self.compact(extents)
        self.forget()

    def raise_log_start(self, percent: int) -> None:
        start = self.high_watermark * percent // 100
        if start > self.manifest.log_start_offset:
            dead = [one.key for one in self.manifest.segments if one.last_offset < start]
            self.manifest = self.manifest.apply(ManifestRecord(start, removed=tuple(dead)))

    def take_over(self) -> None:
        """Another leads: what was above the high watermark is void."""
        self.batches = [(header, data) for header, data in self.batches if header.next_offset <= self.high_watermark]
        last = self.epochs[-1]
        if last.start_offset == self.high_watermark:
            self.epochs.pop()
        self.epochs.append(EpochStart(last.leader_epoch + 1, self.high_watermark))

    def from_offset(self, offset: int) -> list[Batch]:
        """What readers may see from there on."""
        return [
            (header, data)
            for header, data in self.batches
            if header.last_offset >= offset and header.next_offset <= self.high_watermark
        ]

    def view(self) -> PublishedPartition:
        return PublishedPartition(max(self.published, 0), tuple(self.extents), ())


class Follower:
    """What the shell does, one step at a time, so that a test can put the leader's steps between."""

    def __init__(self, leader: Leader) -> None:
        self.leader = leader
        self.log: FollowedLog | None = None
        self._extents: PublishedPartition | None = None
        self._manifests = [leader.manifest]

    def look_at_view(self) -> None:
        """The first half of reading the history."""
        self._extents = self.leader.view()

    def look_at_manifest(self) -> None:
        """The second half, perhaps much later."""
        extents, manifest = self._extents or self.leader.view(), self.leader.manifest
        self._extents = None
        self._manifests.append(manifest)
        self._take(manifest, extents)

    def look_at_old_manifest(self, percent: int) -> None:
        """The view has forgotten how far the manifest had come."""
        self._take(self._manifests[(len(self._manifests) - 1) * percent // 100], self.leader.view())

    def look_at_lost_view(self, percent: int) -> None:
        """The view has forgotten the newest extents."""
        view = self.leader.view()
        kept = view.extents[: len(view.extents) * percent // 100]
        end = kept[-1].last_offset + 1 if kept else 0
        self._take(self.leader.manifest, PublishedPartition(end, kept, ()))

    def _take(self, manifest: Manifest, extents: PublishedPartition) -> None:
        if self.log is None:
            if is_whole(self.leader.epochs, manifest, extents):
                self.log = FollowedLog(PARTITION, self.leader.epochs, manifest, extents)
        elif self.log.fits(manifest, extents):
            self.log.take_history(manifest, extents)

    def fetch(self, batches: int) -> None:
        """One answer of the leader."""
        log, leader = self.log, self.leader
        if log is None:
            return
        if log.leader_epoch != leader.epochs[-1].leader_epoch:
            log.follow(leader.epochs)
        if not leader.manifest.log_start_offset <= log.next_offset <= leader.end:
            self.restart()
            return
        found = leader.from_offset(log.next_offset)[:batches]
        start = leader.manifest.log_start_offset
        if not log.take(leader.high_watermark, leader.high_watermark, start, joined(found)):
            self.restart()

    def restart(self) -> None:
        assert self.log is not None
        if is_whole(self.log.epochs, self.leader.manifest, self.leader.view()):
            self.log.restart(self.leader.manifest, self.leader.view())

    def keep_up(self, max_bytes: int) -> None:
        """Hear all, look at the history, and trim."""
        self.look_at_manifest()
        self.fetch(1000)
        self.look_at_manifest()
        self.trim(max_bytes)

    def trim(self, max_bytes: int) -> None:
        if self.log is not None:
            self.log.trim(max_bytes)
