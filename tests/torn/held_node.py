"""`cauce` with coordinators that stop at one step of ending a transaction, while a file names the step.

Started as `python -m tests.torn.held_node node …`. The product has no switch for it: a method of one of its classes is
replaced from outside. What a held coordinator does otherwise goes on.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from cauce.cli.main import main
from infra.partition import TopicPartition
from ingest.coordinator.marker_sender import Ending, MarkerSender

FOLDER = "HELD_TRANSACTIONS"  # environment: where the file is, and where those that are held say so
STEP = "step"
DECIDED, SOME_MARKERS, ALL_MARKERS = "decided", "some-markers", "all-markers"
STEPS = (DECIDED, SOME_MARKERS, ALL_MARKERS)

_send = MarkerSender.send


def _step(folder: Path) -> str | None:
    try:
        return (folder / STEP).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


async def _send_up_to_the_step(
    self: MarkerSender, ending: Ending, partitions: Iterable[TopicPartition], marked: Callable[[TopicPartition], object]
) -> None:
    folder, everything = Path(os.environ[FOLDER]), sorted(partitions)
    step = _step(folder)
    before = {None: everything, DECIDED: [], SOME_MARKERS: everything[::2], ALL_MARKERS: everything}[step]
    await _send(self, ending, before, marked)
    if step is None:
        return
    (folder / f"held-{ending.producer.producer_id}").write_text(str(os.getpid()), encoding="utf-8")
    while _step(folder) is not None:  # noqa: ASYNC110  another process says when
        await asyncio.sleep(0.05)
    await _send(self, ending, set(everything).difference(before), marked)


if __name__ == "__main__":
    MarkerSender.send = _send_up_to_the_step  # type: ignore[method-assign]
    main()
