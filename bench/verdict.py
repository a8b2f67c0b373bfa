"""How a bench that also checks ends: what is wrong on standard error, and 1 when anything is."""

import sys
from collections.abc import Sequence
from typing import NoReturn


def end_with(wrong: Sequence[str], well: str) -> NoReturn:
    """`well` is said when nothing is wrong."""
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{len(wrong)} things are wrong" if wrong else well)
    raise SystemExit(1 if wrong else 0)
