"""A file that has another name until it is complete, and beside it the progress of what fills it."""

import os
from pathlib import Path
from typing import IO

from infra.disk import OS_DISK
from reader.replay.progress import ProgressFile
from reader.replay.sinks.port import occupied


class UnfinishedFile:
    """`NAME.partial` and `NAME.replay.json` become `NAME`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self.progress = ProgressFile(path.with_name(path.name + ".replay.json"))

    def check_free(self) -> None:
        """Raise `Refused` when the name is taken. A partial file without progress is of no use to anybody."""
        if self.path.exists():
            raise occupied(str(self.path))
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def sync(self, file: IO[bytes]) -> None:
        """Make what was written durable."""
        file.flush()
        os.fsync(file.fileno())

    def finish(self, file: IO[bytes]) -> None:
        """Give it its name."""
        self.sync(file)
        file.close()
        self.partial.rename(self.path)
        OS_DISK.sync_folder(self.path.parent)
        self.progress.remove()
