"""Extents that landed after a later epoch began count all the same."""

import infra.cluster.extent_chain
from tests.planted import Patch


def plant(patch: Patch) -> None:
    patch(
        infra.cluster.extent_chain._Stretch, "holds", lambda self, base_offset, last_offset: base_offset >= self.first
    )
