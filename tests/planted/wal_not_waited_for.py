"""A partition at durability `wal` moves on without the WAL of its last leader, though unclean election is off."""

from ingest.claims import Predecessor
from tests.planted import Patch


def plant(patch: Patch) -> None:
    patch(Predecessor, "waits_for", lambda self, own_wal_id: None)
