"""Builds the batch segment of one flush: joins what the flush takes with the format in `infra.segment`."""

from collections.abc import Sequence
from functools import partial

from infra.partition import SessionId
from infra.segment.batch_segment import BuiltSegment, SegmentPart, build_batch_segment
from infra.segment.holders import Holders
from ingest.flush import Build
from ingest.partition_log import FlushPart


def segment_builder(cluster_id: str) -> Build:
    """What `Leaders` takes as `build`."""
    return partial(_build, cluster_id)


def _build(
    cluster_id: str, key: str, session: SessionId, parts: Sequence[FlushPart], holders: Holders | None
) -> BuiltSegment:
    return build_batch_segment(
        key,
        cluster_id,
        session,
        [
            SegmentPart(
                part.log.partition,
                part.log.leader_epoch,
                [batch.batch for batch in part.batches],
                part.producers,
                part.aborted,
            )
            for part in parts
        ],
        holders=holders,
    )
