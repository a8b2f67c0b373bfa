"""What tells of the last holders forgets a partition when its lease is given back, as if nobody could ask any more."""

from ingest.flush import Flusher
from tests.planted import Patch

_forget = Flusher.forget


def _forget_all(self, log):  # type: ignore[no-untyped-def]
    _forget(self, log)
    self._holders._last.pop(log.partition, None)


def plant(patch: Patch) -> None:
    patch(Flusher, "forget", _forget_all)
