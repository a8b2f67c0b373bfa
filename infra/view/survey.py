"""Up to where each partition in a bucket is whole: what is there, what is void, what is missing, and what can be done.

For a bucket that may lack objects, as a copy of one in use may. A partition is whole up to an offset when every record
below it, that retention or cleaning has not taken, can be read. Where the manifest names what is missing, an older
version of it may name the same records in other objects; telling that version anew loses nothing. Reads only, but for
`mend`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from infra.all_of import all_of
from infra.cluster.extent_chain import ChainedLog
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_history import ManifestHistory, read_history, tell_anew
from infra.cluster.manifest_record import RecordSegment
from infra.object_key import (
    EPOCHS,
    MANIFESTS,
    RECORDS,
    EpochKey,
    ManifestKey,
    epoch_ledger,
    parse_key,
)
from infra.partition import PartitionId
from infra.segment.extent import FlushedExtent
from infra.store.port import ObjectStore
from infra.view.bucket_log import BucketLogs, KnownLedgers, ReadExtents, chain

_PARTITIONS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class PartitionSurvey:
    """What a bucket holds of one partition."""

    partition: PartitionId
    leader_epoch: int  # the last one, -1 when the bucket has no epoch record: then no extent counts
    log_start_offset: int
    whole_upto: int  # exclusive
    end_offset: int  # exclusive; where it is above `whole_upto`, some offsets between are missing
    record_segments: int
    extents: int
    void: int  # extents that do not exist by the epoch records, or are there twice
    missing: tuple[str, ...]  # sentences
    newest_manifest: int = -1
    instead: Manifest | None = None  # what the manifest ledger should say; None: it is right as it is
    gives_up: bool = False  # saying so gives up offsets that are missing


async def survey(store: ObjectStore, read_extents: ReadExtents) -> list[PartitionSurvey]:
    """Every partition that was ever led. Raises `Unavailable`."""
    epochs: defaultdict[PartitionId, list[int]] = defaultdict(list)
    manifests: defaultdict[PartitionId, list[int]] = defaultdict(list)
    async for info in store.list(EPOCHS):
        key = parse_key(info.key)
        if isinstance(key, EpochKey):
            epochs[key.partition].append(key.leader_epoch)
    async for info in store.list(MANIFESTS):
        key = parse_key(info.key)
        if isinstance(key, ManifestKey):
            manifests[key.partition].append(key.version)
    logs = BucketLogs(store, read_extents, tolerant=True)
    known: dict[PartitionId, KnownLedgers] = {}
    histories: dict[PartitionId, ManifestHistory] = {}
    partitions = sorted(epochs.keys() | manifests.keys())
    for begin in range(0, len(partitions), _PARTITIONS_AT_ONCE):
        some = partitions[begin : begin + _PARTITIONS_AT_ONCE]
        read = await all_of(read_history(store, one, manifests[one]) for one in some)
        histories.update(zip(some, read, strict=True))
        led = [one for one in some if one in epochs]
        ledgers = await all_of(logs.ledgers(one, epochs[one], Manifest()) for one in led)
        known.update(zip(led, ledgers, strict=True))
    found = await logs.extents(known)
    sizes = {info.key: info.size async for info in store.list(RECORDS)}
    return [_judge(one, known.get(one), found.get(one, ()), histories[one], sizes) for one in partitions]


async def mend(store: ObjectStore, partition: PartitionSurvey) -> int | None:
    """Tell the manifest that stands in `instead`; its version, None when there is nothing to tell. Raises `Exists`."""
    if partition.instead is None:
        return None
    return await tell_anew(store, partition.partition, partition.newest_manifest, partition.instead)


def _judge(
    partition: PartitionId,
    known: KnownLedgers | None,
    found: Sequence[FlushedExtent],
    history: ManifestHistory,
    sizes: Mapping[str, int],
) -> PartitionSurvey:
    """Decide which version of the manifest to go by. Pure."""
    newest = history.versions[-1] if history.versions else Manifest()
    whole = _newest_whole(history, known, found, sizes)
    chosen = newest if whole is None else whole
    missing: list[str] = []
    if known is None:
        missing.append(f"every record of {epoch_ledger(partition)} is missing: what batch segments hold is void")
    if not history.complete:
        missing.append(f"the manifest cannot be read beyond version {newest.version}: {history.problem}")
    if whole is None:
        missing += [_gone(one.base_offset, one.last_offset, one.key) for one in _lost(newest, sizes)]
    held = replace(chosen, segments=tuple(one for one in chosen.segments if sizes.get(one.key) == one.size))
    log = _chain(known, chosen, found)
    missing += [_gone(begin, end - 1, f"{epoch_ledger(partition)}, batch segments") for begin, end in log.gaps]
    beyond = _beyond(known, found, log.end_offset)
    if beyond is not None:
        missing.append(_gone(log.end_offset, beyond - 1, "what comes after it is void"))
    instead = None
    if whole is None or whole is not newest or not history.complete:
        instead = replace(held, log_start_offset=max(chosen.log_start_offset, newest.log_start_offset))
        instead = replace(instead, cleaned_upto=min(instead.cleaned_upto, instead.records_end))
    return PartitionSurvey(
        partition,
        -1 if known is None else known.last_epoch,
        chosen.log_start_offset,
        _whole_upto(chosen, log, sizes),
        log.end_offset,
        len(held.segments),
        len(log.extents),
        _void(log, found, chosen.floor),
        tuple(missing),
        history.newest,
        instead,
        gives_up=whole is None or (not history.complete and (bool(log.gaps) or beyond is not None)),
    )


def _newest_whole(
    history: ManifestHistory, known: KnownLedgers | None, found: Sequence[FlushedExtent], sizes: Mapping[str, int]
) -> Manifest | None:
    """The newest version whose segments are all there and whose extents lead as far as any version's; None: none does.

    Offsets that no version has are no reason against the newest.
    """
    if not history.versions:
        return None
    newest = history.versions[-1]
    if not _lost(newest, sizes):
        return newest
    for manifest in reversed(history.versions[:-1]):
        if not _lost(manifest, sizes):
            log = _chain(known, manifest, found)
            if not log.gaps and log.end_offset >= newest.records_end:
                return manifest
    return None


def _chain(known: KnownLedgers | None, manifest: Manifest, found: Sequence[FlushedExtent]) -> ChainedLog:
    if known is None:
        return ChainedLog(manifest.floor, (), manifest.producers)
    return chain(replace(known, manifest=manifest), found)


def _lost(manifest: Manifest, sizes: Mapping[str, int]) -> list[RecordSegment]:
    return [
        one
        for one in manifest.segments
        if sizes.get(one.key) != one.size and one.last_offset >= manifest.log_start_offset
    ]


def _whole_upto(manifest: Manifest, log: ChainedLog, sizes: Mapping[str, int]) -> int:
    lost = _lost(manifest, sizes)
    if lost:
        return max(lost[0].base_offset, manifest.log_start_offset)
    return log.gaps[0][0] if log.gaps else log.end_offset


def _beyond(known: KnownLedgers | None, found: Sequence[FlushedExtent], end_offset: int) -> int | None:
    """Where extents of the last epoch go on above a hole; None when they do not."""
    if known is None:
        return None
    above = [one.extent.base_offset for one in found if one.extent.leader_epoch == known.last_epoch]
    return min((base for base in above if base > end_offset), default=None)


def _void(log: ChainedLog, found: Sequence[FlushedExtent], floor: int) -> int:
    live = {(one.segment, one.base_offset) for one in log.extents}
    extents = [one.extent for one in found]
    return sum(one.last_offset >= floor and (one.segment, one.base_offset) not in live for one in extents)


def _gone(base_offset: int, last_offset: int, what: str) -> str:
    return f"offsets {base_offset} to {last_offset} are missing ({what})"
