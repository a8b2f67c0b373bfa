"""Runs first in every node and compactor of a chaos run (it stands on their PYTHONPATH): lets their wall clock jump.

`CHAOS_CLOCK` names a file of eight bytes, the milliseconds that the clock of this node is ahead, which may change
at any time. `CHAOS_PLANTED` names modules of `tests.planted`, with commas, whose `plant()` is called.
"""

import importlib
import mmap
import os
import struct


def _let_the_clock_jump(path: str) -> None:
    from infra.clock import Clock

    with open(path, "rb") as file:  # noqa: PTH123 (nothing else is imported into every process)
        ahead = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
    real_ms = Clock.now_ms

    def now_ms(self: Clock) -> int:
        return real_ms(self) + int(struct.unpack("<q", ahead[:8])[0])

    Clock.now_ms = now_ms  # type: ignore[method-assign]


if "CHAOS_CLOCK" in os.environ:
    _let_the_clock_jump(os.environ["CHAOS_CLOCK"])
for _name in filter(None, os.environ.get("CHAOS_PLANTED", "").split(",")):
    importlib.import_module(f"tests.planted.{_name}").plant()
