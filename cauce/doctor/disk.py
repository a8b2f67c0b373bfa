"""Whether the data folder can hold a WAL: rights, room, how long a sync takes, and what kind of disk it is."""

import os
import shutil
import statistics
import tempfile
from pathlib import Path

from cauce.doctor.finding import Finding, failed, ok, warning
from infra.clock import Clock

_SYNCS = 20
_BLOCK = bytes(4096)
_SLOW_MS = 20.0
_MEMORY = ("tmpfs", "ramfs")


def check_disk(data: Path, wal_bytes: int, clock: Clock) -> list[Finding]:
    """Every line about the disk. Blocks. `wal_bytes`: what `cauce.wal.bytes` allows the WAL to take."""
    place = next(one for one in (data, *data.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            took = [_sync_ms(file.fileno(), clock) for _ in range(_SYNCS)]
    except OSError as error:
        mend = f"let the node's user write there, or name another folder with --data ({error.strerror})"
        return [failed("disk", f"{data} cannot be written", mend)]
    return [_room(data, place, wal_bytes), _speed(statistics.median(took)), _kind(place)]


def _sync_ms(descriptor: int, clock: Clock) -> float:
    begun = clock.monotonic()
    os.write(descriptor, _BLOCK)
    os.fsync(descriptor)
    return 1000 * (clock.monotonic() - begun)


def _room(data: Path, place: Path, wal_bytes: int) -> Finding:
    used = sum(file.stat().st_size for file in (data / "wal").rglob("*") if file.is_file())
    room = shutil.disk_usage(place).free + used
    found = f"{room >> 20} MiB for a WAL of up to {wal_bytes >> 20} MiB"
    if room < wal_bytes:
        return warning("disk: room", found, "take a larger disk, or a smaller cauce.wal.bytes")
    return ok("disk: room", found)


def _speed(sync_ms: float) -> Finding:
    found = f"a sync takes {sync_ms:.1f} ms"
    if sync_ms > _SLOW_MS:
        return warning("disk: sync", found, "take a faster disk: at durability wal every acknowledgement waits for one")
    return ok("disk: sync", found)


def _kind(place: Path) -> Finding:
    kind = _filesystem(place)
    if kind in _MEMORY:
        return warning("disk: kind", kind, "take a disk: at durability wal a restart loses what is not in the bucket")
    return ok("disk: kind", kind)


def _filesystem(place: Path) -> str:
    """As Linux names it; unknown elsewhere."""
    try:
        rows = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    resolved = place.resolve()
    over = [(len(row[1]), row[2]) for row in rows if resolved.is_relative_to(row[1])]
    return max(over, default=(0, "unknown"))[1]
