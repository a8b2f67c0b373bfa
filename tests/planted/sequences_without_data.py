"""A new leader knows the sequences of segments that are void: they moved without their data."""

from dataclasses import replace
from typing import Any

import infra.cluster.extent_chain
import ingest.log_end
from tests.planted import Patch

_chain = infra.cluster.extent_chain.chain_log


def _chain_log(epochs: Any, found: Any, **options: Any) -> Any:
    extents = list(found)
    log = _chain(epochs, extents, **options)
    void = sorted(
        (one for one in extents if one.extent.base_offset >= log.end_offset), key=lambda one: one.extent.base_offset
    )
    known = {entry.producer_id: entry for entry in log.producers}
    for one in void:
        known.update((entry.producer_id, entry) for entry in one.producers)
    return replace(log, producers=tuple(known[key] for key in sorted(known)))


def plant(patch: Patch) -> None:
    patch(ingest.log_end, "chain_log", _chain_log)
