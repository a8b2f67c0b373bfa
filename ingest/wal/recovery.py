"""Reads back what a WAL holds: every frame that was synced, in order, and nothing that was never appended.

Frames of one writing of a file (its generation) follow each other without a gap, and files follow each other in the
order of their generations. The last file may end in a torn group, which nobody was told is safe: reading stops there.
The file with the lowest generation may have been half written over, for it is always the one that is recycled next.
A gap anywhere else, with frames behind it that say they were written after it was synced, is damage: it is reported,
and what is whole on both sides of it is still given.

Trimming need not be durable, so frames that were trimmed may come back: whoever takes them compares with the bucket.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from infra.disk import Disk, opened
from ingest.wal.frame import FRAME_HEADER_BYTES, MAGIC, FrameHeader, WalEntry, has_payload, parse_header
from ingest.wal.identity import FILE_SUFFIX, WalIdentity, load_identity


class RecoveredEntry(NamedTuple):
    """An entry and the position after it, for `Wal.trim`."""

    entry: WalEntry
    end: int


@dataclass(slots=True)
class WalFile:
    """One file and what its frames say; generation 0 when it has none."""

    name: str
    size: int  # bytes
    generation: int = 0
    begin: int = 0  # position of its first byte in the whole WAL
    end: int = 0  # position after its last whole frame
    spans: list[tuple[int, int]] = field(default_factory=list)  # bytes of the file that hold whole frames
    trimmed: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)  # positions between which synced frames are missing


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a folder holds. `entries` reads the files again, so go through it before trimming."""

    folder: Path
    disk: Disk
    identity: WalIdentity | None  # None for a folder without a WAL
    files: tuple[WalFile, ...]  # those with frames, oldest first
    empty: tuple[WalFile, ...]  # those without
    end: int  # position after the last whole frame
    trimmed: int  # everything below was no longer needed
    highest_generation: int
    damage: tuple[str, ...]  # one sentence for each place where synced frames are missing

    def entries(self) -> Iterator[RecoveredEntry]:
        """Every whole frame above the last known trim, in the order of appending; batches are copies of their own."""
        for file in self.files:
            if self.identity is None or file.end <= self.trimmed:
                continue
            data = _read(self.folder, self.disk, file)
            for begin, end in file.spans:
                yield from self._entries_of(data, begin, end, self.identity.seed)

    def _entries_of(self, data: memoryview, at: int, end: int, seed: int) -> Iterator[RecoveredEntry]:
        while at < end:
            header = parse_header(data, at, seed)
            if header is None:  # it was there a moment ago
                raise OSError(f"a WAL file in {self.folder} changed while it was read")
            after = header.position + header.size
            if after > self.trimmed:
                batch = bytes(data[at + FRAME_HEADER_BYTES : at + header.size])
                yield RecoveredEntry(header.entry(batch), after)
            at += header.size


def recover(folder: Path, disk: Disk) -> Recovered:
    """Read and check all files of a folder. Raises `BadStart` for a WAL this release cannot use, `OSError`."""
    identity = load_identity(folder, disk)
    if identity is None:
        return Recovered(folder, disk, None, (), (), 0, 0, 0, ())
    found = sorted(disk.scan(folder), key=lambda entry: entry.name)
    scans = [
        _scan(folder, disk, WalFile(entry.name, entry.size), identity.seed)
        for entry in found
        if entry.name.endswith(FILE_SUFFIX)
    ]
    files = sorted((scan.file for scan in scans if scan.file.spans), key=lambda file: file.generation)
    trimmed = max((file.trimmed for file in files), default=0)
    return Recovered(
        folder,
        disk,
        identity,
        tuple(files),
        tuple(scan.file for scan in scans if not scan.file.spans),
        max((file.end for file in files), default=0),
        trimmed,
        max((scan.highest_generation for scan in scans), default=0),
        tuple(_damage(folder, files, trimmed)),
    )


def _damage(folder: Path, files: list[WalFile], trimmed: int) -> Iterator[str]:
    """The lowest file's gaps are those of recycling, unless it is the only one: the newest is never recycled."""
    whole = files[1:] if len(files) > 1 else files
    gaps = [(file.name, *gap) for file in whole for gap in file.gaps]
    gaps += [(before.name, before.end, after.begin) for before, after in pairwise(whole) if before.end != after.begin]
    for name, begin, end in gaps:
        if end > trimmed:
            yield f"{folder / name} lacks synced frames from position {begin} to {end}"


@dataclass(frozen=True, slots=True)
class _Scan:
    file: WalFile
    highest_generation: int


def _scan(folder: Path, disk: Disk, file: WalFile, seed: int) -> _Scan:
    data = _read(folder, disk, file)
    highest = 0
    at = 0
    while True:
        at = _run_of_frames(data, at, file, seed)
        behind = list(_headers_behind(data, at, seed))
        highest = max([highest, file.generation, *(header.generation for _, header in behind)])
        missed = next((found for found in behind if _proves_a_gap(data, at, file, *found)), None)
        if missed is None:
            return _Scan(file, highest)
        found, header = missed
        begin = header.position - found
        file.gaps.append((begin + at, header.position))
        file.generation, file.begin = header.generation, begin
        at = found


def _run_of_frames(data: memoryview, at: int, file: WalFile, seed: int) -> int:
    """Take whole frames that follow one another from byte `at` on; answers the byte after them."""
    first = at
    while (header := parse_header(data, at, seed)) is not None and has_payload(data, at, header):
        if at == 0:
            file.generation, file.begin = header.generation, header.position
        if header.generation != file.generation or header.position != file.begin + at:
            break
        at += header.size
        file.end = file.begin + at
        file.trimmed = max(file.trimmed, header.trimmed)
    if at > first:
        file.spans.append((first, at))
    return at


def _headers_behind(data: memoryview, at: int, seed: int) -> Iterator[tuple[int, FrameHeader]]:
    """Frame headers of any writing of the file, somewhere behind byte `at`."""
    for match in re.finditer(re.escape(MAGIC), data[at:]):
        found = at + match.start()
        header = parse_header(data, found, seed)
        if header is not None:
            yield found, header


def _proves_a_gap(data: memoryview, at: int, file: WalFile, found: int, header: FrameHeader) -> bool:
    """True for a whole frame at byte `found` that was written after what should stand at byte `at` was synced."""
    begin = header.position - found  # position of the first byte in that writing of the file
    if found <= at or header.synced <= begin + at or begin < 0:
        return False
    if file.spans and (header.generation, begin) != (file.generation, file.begin):
        return False
    return has_payload(data, found, header)


def _read(folder: Path, disk: Disk, file: WalFile) -> memoryview:
    with opened(disk.open(folder / file.name, write=False)) as handle:
        return memoryview(handle.pread(file.size, 0))
