"""The states of a transactional id, and which may follow which: Kafka's, with Kafka's numbers in the log."""

from enum import IntEnum


class TransactionState(IntEnum):
    """Numbers as they stand in records of `__transaction_state`."""

    EMPTY = 0  # no transaction since the producer came
    ONGOING = 1  # partitions have been added
    PREPARE_COMMIT = 2  # decided; markers are on their way
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4  # every partition has its marker
    COMPLETE_ABORT = 5
    DEAD = 6  # being forgotten; never in the log, which gets a tombstone
    PREPARE_EPOCH_FENCE = 7  # never in the log: the raised epoch is written together with the decision to abort

    @property
    def label(self) -> str:
        """The name that clients are shown and filter by, for example PrepareCommit."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def prepared(self) -> bool:
        """A decision is made, and its markers are not all written."""
        return self in (TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT)

    @property
    def at_rest(self) -> bool:
        """Nothing is under way: a producer may begin, and the id may expire."""
        return self in _AT_REST


_STATE = TransactionState
_AT_REST = frozenset((_STATE.EMPTY, _STATE.COMPLETE_COMMIT, _STATE.COMPLETE_ABORT))
_BEGIN = frozenset((_STATE.EMPTY, _STATE.ONGOING, _STATE.DEAD))

FOLLOWING: dict[TransactionState, frozenset[TransactionState]] = {
    _STATE.EMPTY: _BEGIN,
    _STATE.ONGOING: frozenset((_STATE.ONGOING, _STATE.PREPARE_COMMIT, _STATE.PREPARE_ABORT)),
    _STATE.PREPARE_COMMIT: frozenset((_STATE.COMPLETE_COMMIT,)),
    _STATE.PREPARE_ABORT: frozenset((_STATE.COMPLETE_ABORT,)),
    _STATE.COMPLETE_COMMIT: _BEGIN,
    _STATE.COMPLETE_ABORT: _BEGIN,
    _STATE.DEAD: frozenset(),
}
"""What the log may say next of an id, by what it says now."""

LABELS: dict[str, TransactionState] = {state.label: state for state in TransactionState}
