"""A node's data folder: locked while the node runs, and the place where its node id is kept.

<data>/node.json    format version, node id, URL of the bucket that passed the whole probe
<data>/lock         held by the running node
<data>/wal/         the WAL
<data>/bucket/      the folder bucket, unless another is named
<data>/compactor/   record segments under way, of no worth once the compactor has ended
<data>/tables/      the catalog of Iceberg tables, unless another is named; made again from the bucket when it is lost
<data>/redis/       the embedded Valkey's data, unless a Redis is named
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from infra.disk import OS_DISK, Disk, opened
from infra.errors import BadStart

FORMAT = 1
_IDENTITY = "node.json"
_DRAFT = "node.json.new"


class DataFolder:
    """One folder, of one running node."""

    def __init__(self, path: Path, disk: Disk = OS_DISK) -> None:
        self.path = path
        self._disk = disk
        self._lock: int | None = None

    @property
    def wal(self) -> Path:
        """Folder of the WAL."""
        return self.path / "wal"

    @property
    def redis(self) -> Path:
        """Folder of the embedded Valkey."""
        return self.path / "redis"

    def lock(self) -> None:
        """Make the folder and hold it. Raises `BadStart` when another node does, or it cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise BadStart(f"the data folder {self.path} cannot be used: {error.strerror}; name another") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            self._lock = None
            raise BadStart(
                f"a node is running on the data folder {self.path}; stop it, or name another folder"
            ) from None

    def unlock(self) -> None:
        """Let go of the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def node_id(self) -> int | None:
        """The id that a node on this folder had, None when there was none. Raises `BadStart` for a newer format."""
        try:
            kept = self._identity()
            return None if kept is None else int(kept["node_id"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._unreadable(error) from None

    def probed_bucket(self) -> str:
        """URL of the bucket that a node on this folder found fit, empty when there was none. Raises as `node_id`."""
        kept = self._identity() or {}
        return str(kept.get("probed_bucket", ""))

    def keep(self, node_id: int, probed_bucket: str) -> None:
        """Remember both, durably."""
        body = json.dumps({"version": FORMAT, "node_id": node_id, "probed_bucket": probed_bucket}).encode()
        with opened(self._disk.open(self.path / _DRAFT, create=True)) as file:
            file.truncate(0)
            file.pwrite([body], 0)
            file.sync()
        self._disk.rename(self.path / _DRAFT, self.path / _IDENTITY)
        self._disk.sync_folder(self.path)

    def _identity(self) -> dict[str, Any] | None:
        file = self.path / _IDENTITY
        try:
            kept: dict[str, Any] = json.loads(file.read_bytes())
            version = int(kept["version"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._unreadable(error) from None
        if version > FORMAT:
            raise BadStart(f"{file} has format {version}, this release knows up to {FORMAT}; use a newer release")
        return kept

    def _unreadable(self, error: Exception) -> BadStart:
        file = self.path / _IDENTITY
        return BadStart(f"{file} cannot be read ({error!r}); restore it, or name another data folder")
