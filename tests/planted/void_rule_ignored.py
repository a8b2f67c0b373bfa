"""Extents that landed after a later epoch began count all the same, and a takeover does not let the view know better.

The view has refused them; a takeover that asks it meets them only when it has forgotten.
"""

import infra.cluster.extent_chain
import ingest.log_end
from tests.planted import Patch


def plant(patch: Patch) -> None:
    patch(
        infra.cluster.extent_chain._Stretch, "holds", lambda self, base_offset, last_offset: base_offset >= self.first
    )
    patch(ingest.log_end._Reading, "consistent", property(lambda self: False))
