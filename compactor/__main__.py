"""`python -m compactor`: a node's compactor, started by the node (`cauce/compactor_process.py`), not by people."""

import asyncio
import os
import sys

from compactor.document import Document
from infra.clock import SYSTEM_CLOCK
from infra.errors import BadStart, CauceError
from infra.log import set_up_logging

_NICENESS = 10  # whoever waits for an acknowledgement comes first


def main() -> int:
    """Answer the exit code."""
    try:
        document = Document.decode(sys.stdin.buffer.readline())
    except BadStart as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    set_up_logging(document.settings["cauce.log.level"], document.settings["cauce.log.format"])
    os.nice(_NICENESS)

    from compactor.process import log, run  # takes a while: not before it is known to be ours to do

    try:
        asyncio.run(run(document, SYSTEM_CLOCK))
    except CauceError as error:
        log.error("the compactor ends: %s", error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
