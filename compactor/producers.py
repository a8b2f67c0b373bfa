"""Producer state as of the end of new record segments: what must not be lost when batch segments go. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from infra.cluster.manifest import Manifest
from infra.segment.extent import Extent, FlushedExtent, ProducerEntry
from infra.view.port import PublishedPartition


def untold_extents(manifest: Manifest, published: PublishedPartition) -> tuple[Extent, ...]:
    """Extents below the manifest's floor whose producers no manifest record has: DeleteRecords passed them."""
    return tuple(
        one
        for one in published.extents
        if manifest.producers_upto <= one.last_offset and one.last_offset < manifest.floor
    )


def fold_producers(
    manifest: Manifest,
    published: PublishedPartition,
    untold: Sequence[FlushedExtent],
    taken: Iterable[FlushedExtent],
    expired_before_ms: int,
) -> tuple[ProducerEntry, ...]:
    """The state after `taken`, ascending by producer id, without producers idle since `expired_before_ms` (but with
    those that have a transaction open).

    `untold`: what `untold_extents` named. When the view has forgotten some of those, its own producers say what they
    left: at worst a producer's state is newer than the end of `taken`, and what made it newer is published.
    """
    known: dict[int, ProducerEntry] = {entry.producer_id: entry for entry in manifest.producers}
    if not _reach(manifest, untold):
        known.update((entry.producer_id, entry) for entry in published.producers)
    for one in (*untold, *taken):
        known.update((entry.producer_id, entry) for entry in one.producers)
    return _living(known, expired_before_ms)


def _reach(manifest: Manifest, untold: Sequence[FlushedExtent]) -> bool:
    """Whether these extents lead from where the manifest's producers stand to its floor."""
    upto = manifest.producers_upto
    for one in untold:
        if one.extent.base_offset > upto:
            return False
        upto = max(upto, one.extent.last_offset + 1)
    return upto >= manifest.floor


def _living(known: Mapping[int, ProducerEntry], expired_before_ms: int) -> tuple[ProducerEntry, ...]:
    return tuple(
        known[key]
        for key in sorted(known)
        if known[key].last_timestamp >= expired_before_ms or known[key].in_transaction
    )
