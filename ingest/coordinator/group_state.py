"""The states of a classic consumer group and the only ways between them.

    Empty ──join──▶ PreparingRebalance ──all joined──▶ CompletingRebalance ──leader's sync stored──▶ Stable
      ▲                │   ▲      ▲                            │                                       │
      └──nobody left───┘   │      └──────join, leave, lapse────┘                                       │
                           └───────────────join, leave, lapse─────────────────────────────────────────┘

Dead is reached from everywhere: the group was deleted, expired, or its coordinator moved. Nothing leaves it.
"""

from enum import Enum


class GroupState(Enum):
    """A state; the value is the name that DescribeGroups and ListGroups show."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


TRANSITIONS: dict[GroupState, frozenset[GroupState]] = {
    GroupState.EMPTY: frozenset({GroupState.PREPARING_REBALANCE, GroupState.DEAD}),
    GroupState.PREPARING_REBALANCE: frozenset({GroupState.COMPLETING_REBALANCE, GroupState.EMPTY, GroupState.DEAD}),
    GroupState.COMPLETING_REBALANCE: frozenset({GroupState.STABLE, GroupState.PREPARING_REBALANCE, GroupState.DEAD}),
    GroupState.STABLE: frozenset({GroupState.PREPARING_REBALANCE, GroupState.DEAD}),
    GroupState.DEAD: frozenset(),
}


class ImpossibleTransition(Exception):
    """The state machine was asked for a step that does not exist: a fault of ours, never of a client."""

    def __init__(self, group_id: str, held: GroupState, wanted: GroupState) -> None:
        super().__init__(f"group {group_id!r} cannot go from {held.value} to {wanted.value}")
