"""What librdkafka says of itself, kept beside the history for who asks why after a run."""

import logging
from collections.abc import Mapping
from typing import Any

from tests.chaos.score import Score


def logged(score: Score, name: str, about: str, *, only: str = "") -> Mapping[str, Any]:
    """Settings of a client that writes its log into `name`.log; `about`: librdkafka's debug contexts.

    `only`: lines that have this in them.
    """
    log = logging.Logger(name)
    handler = logging.FileHandler(score.path.with_name(f"{name}.log"), delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(message)s", "%H:%M:%S"))
    handler.addFilter(lambda record: only in record.getMessage())
    log.addHandler(handler)
    return {"logger": log, "log_level": 7, "debug": about}
