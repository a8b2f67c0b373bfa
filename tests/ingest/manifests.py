"""Manifests for tests of the write side, as a compactor makes them: whole, without objects behind them."""

from collections.abc import Sequence

from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord, RecordSegment


def record_segment(base: int, last: int, name: str = "") -> RecordSegment:
    """A record segment that answers for base to last, both inclusive."""
    return RecordSegment(f"records/{base}-{last}{name}", base, last, last + 1 - base, 10, 1_000, ())


def bringing_in(*stretches: tuple[int, int], log_start: int = 0, removed: Sequence[str] = ()) -> ManifestRecord:
    """The change that brings in record segments."""
    return ManifestRecord(log_start, tuple(record_segment(*one) for one in stretches), tuple(removed))


def manifest_of(*stretches: tuple[int, int], version: int = 0, log_start: int = 0) -> Manifest:
    """A manifest with these record segments."""
    return Manifest(version, log_start, tuple(record_segment(*one) for one in stretches))
