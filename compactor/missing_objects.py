"""What the ledgers promise and no object holds, and what can be done about it. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from uuid import UUID

from compactor.garbage import ExtentSpan, Ledgers
from infra.cluster.extent_chain import chain_log
from infra.object_key import RecordSegmentKey, epoch_ledger, parse_key
from infra.partition import PartitionId
from infra.segment.extent import Extent, FlushedExtent


def unlisted_segments(listed: Collection[str], ledgers: Ledgers) -> Iterator[tuple[str, str]]:
    """(key, what to do) of each record segment that a manifest names and that was not listed."""
    for partition, known in ledgers.partitions.items():
        for key in sorted(known.sizes.keys() - set(listed)):
            parsed = parse_key(key)
            assert isinstance(parsed, RecordSegmentKey)
            yield key, _advice(partition, parsed.base_offset, parsed.last_offset, ledgers)


def gone_offsets(spans: Mapping[str, Sequence[ExtentSpan]], ledgers: Ledgers) -> Iterator[tuple[str, str, UUID]]:
    """(epoch ledger, what to do, topic) of each stretch of offsets that leaders wrote and no object holds."""
    found = defaultdict[PartitionId, list[FlushedExtent]](list)
    for key, held in spans.items():
        for span in held:
            extent = Extent(span.partition, key, span.base_offset, span.last_offset, span.leader_epoch, 0, 0, 0, -1, 0)
            found[span.partition].append(FlushedExtent(extent))
    for partition, known in ledgers.partitions.items():
        for begin, end in chain_log(known.epochs, found[partition], floor=known.floor).gaps:
            yield epoch_ledger(partition), _advice(partition, begin, end - 1, ledgers), partition.topic_id


def _advice(partition: PartitionId, base_offset: int, last_offset: int, ledgers: Ledgers) -> str:
    state = ledgers.topics.get(partition.topic_id)
    name = partition.topic_id if state is None or state.record is None else state.record.name
    return (
        f"offsets {base_offset} to {last_offset} of {name}-{partition.partition} are gone: bring the object back (from "
        "a backup, or the bucket's older versions), or give them up by DeleteRecords up to offset "
        f"{last_offset + 1}"
    )
