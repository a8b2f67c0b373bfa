"""The versions of a manifest that a ledger with holes still tells, and how such a ledger is put right.

A copy of a bucket may lack any object: then the newest version that can be folded may be an older one, and what it
names may be missing. A whole record, at the next number that every reader begins at, says anew what there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from infra.cluster.manifest import WHOLE_EVERY, Manifest, first_to_read
from infra.cluster.manifest_record import ManifestRecord
from infra.errors import Corrupt, NotFound
from infra.object_key import ledger_key, manifest_ledger
from infra.partition import PartitionId
from infra.store.ledger import Ledger
from infra.store.port import ObjectStore


@dataclass(frozen=True, slots=True)
class ManifestHistory:
    """What could be folded."""

    versions: tuple[Manifest, ...]  # ascending; the last of them is the newest that can be told
    newest: int  # number of the newest record, -1 when there is none
    problem: str = ""  # why versions do not end with it

    @property
    def complete(self) -> bool:
        """Whether the newest version can be told."""
        return not self.problem


async def read_history(store: ObjectStore, partition: PartitionId, numbers: Sequence[int]) -> ManifestHistory:
    """Fold what these records (ascending) tell, from the last place that a fold can begin at."""
    if not numbers:
        return ManifestHistory((Manifest(),), -1)
    prefix, newest = manifest_ledger(partition), numbers[-1]
    problem = ""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    for run in reversed(runs):
        begin = max(run[0], first_to_read(run[-1]))
        records: dict[int, ManifestRecord] = {}
        for number in range(begin, run[-1] + 1):
            try:
                body = (await Ledger(store, prefix).get(number)).body
                records[number] = ManifestRecord.decode(body, ledger_key(prefix, number))
            except (Corrupt, NotFound) as error:
                records.clear()
                problem = problem or error.message
        versions = _fold(records)
        if versions:
            return ManifestHistory(versions, newest, problem if versions[-1].version != newest else "")
        problem = problem or f"{ledger_key(prefix, begin - 1)} is missing"
    return ManifestHistory((), newest, problem)


def _fold(records: dict[int, ManifestRecord]) -> tuple[Manifest, ...]:
    """Every version from the first on that can be told."""
    versions: list[Manifest] = []
    for number, record in records.items():
        if versions or record.whole or number == 0:
            base = versions[-1] if versions else Manifest(version=number - 1)
            versions.append(base.apply(record))
    return tuple(versions)


async def tell_anew(store: ObjectStore, partition: PartitionId, newest: int, manifest: Manifest) -> int:
    """Record a whole manifest above record `newest`, where every reader begins; its version. Raises `Exists`."""
    version = (newest // WHOLE_EVERY + 1) * WHOLE_EVERY
    await Ledger(store, manifest_ledger(partition)).append(version, manifest.as_whole().encode())
    return version
