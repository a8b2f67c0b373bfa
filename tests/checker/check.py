"""All checks on one history."""

from collections.abc import Sequence

from tests.checker.cycles import check_cycles
from tests.checker.evidence import Evidence
from tests.checker.finding import Finding
from tests.checker.history import Operation
from tests.checker.losses import check_losses, check_origins
from tests.checker.offsets import check_offsets
from tests.checker.poll_order import check_poll_order
from tests.checker.send_order import check_send_order
from tests.checker.transactions import check_reads, check_wholeness


def check(history: Sequence[Operation], *, read_to_end: bool = True, interleaved: bool = True) -> list[Finding]:
    """Everything in the history that a correct log would not have let happen.

    `read_to_end`: the history is whole, and its last polls read every partition to its end. `interleaved`: others may
    write between two records of one operation, as in Kafka; where a log promises more, say False.

    Raises ValueError where the history itself is none: a value sent twice, or one name for two transactions.
    """
    evidence = Evidence(history)
    return [
        *check_offsets(evidence),
        *check_losses(evidence, read_to_end),
        *check_origins(evidence, read_to_end),
        *check_reads(evidence),
        *check_wholeness(evidence, read_to_end),
        *check_poll_order(evidence),
        *check_send_order(evidence, interleaved),
        *check_cycles(evidence),
    ]
