"""The WAL is trimmed up to its end at each publish, whatever is not published yet."""

from ingest.unpublished import Unpublished
from tests.planted import Patch


def plant(patch: Patch) -> None:
    patch(Unpublished, "needed_from", lambda self, wal_end: wal_end)
