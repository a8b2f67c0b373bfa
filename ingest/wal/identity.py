"""Who a WAL is: an id that epoch records name, the seed of its frames, and the version of its format.

Written once, before the first file. A folder without it is a new WAL; a folder with files but without it is damaged.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from infra.clock import Clock
from infra.disk import Disk, opened
from infra.errors import BadStart

FORMAT = 1
FILE_SUFFIX = ".wal"
_NAME = "wal.json"
_DRAFT = "wal.json.new"


@dataclass(frozen=True, slots=True)
class WalIdentity:
    """`seed` keeps bytes that clients choose from passing for frames."""

    wal_id: str
    seed: int  # 32 bits


def load_identity(folder: Path, disk: Disk) -> WalIdentity | None:
    """The identity kept in the folder, None for a new WAL. Raises `BadStart` for one that cannot be used."""
    path = folder / _NAME
    kept = disk.stat(path)
    if kept is None:
        if disk.stat(folder) is not None and any(found.name.endswith(FILE_SUFFIX) for found in disk.scan(folder)):
            raise BadStart(f"{folder} holds WAL files but no {_NAME}: put it back, or move the folder away")
        return None
    with opened(disk.open(path, write=False)) as file:
        return _parse(path, file.pread(kept.size, 0))


def create_identity(folder: Path, disk: Disk, clock: Clock) -> WalIdentity:
    """Make the folder and a new WAL's identity in it; the caller syncs the folder before it makes a file there."""
    _make_folder(folder, disk)
    identity = WalIdentity(str(clock.uuid()), clock.uuid().int & 0xFFFFFFFF)
    body = json.dumps({"format": FORMAT, "wal_id": identity.wal_id, "seed": identity.seed}).encode()
    with opened(disk.open(folder / _DRAFT, create=True)) as draft:
        draft.truncate(0)
        draft.pwrite([body], 0)
        draft.sync()
    disk.rename(folder / _DRAFT, folder / _NAME)
    return identity


def _parse(path: Path, body: bytes) -> WalIdentity:
    try:
        kept = json.loads(body)
        version = int(kept["format"])
        if version > FORMAT:
            raise BadStart(f"{path} says WAL format {version}, this release knows {FORMAT}: start a newer release")
        return WalIdentity(str(kept["wal_id"]), int(kept["seed"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadStart(f"{path} is damaged ({error!r}): put it back, or move the folder away") from error


def _make_folder(folder: Path, disk: Disk) -> None:
    if folder.parent == folder:
        return
    if disk.stat(folder) is None:
        _make_folder(folder.parent, disk)
        disk.make_folder(folder)
    # Also when the folder was there: who made it may have been cut off before this sync.
    disk.sync_folder(folder.parent)
