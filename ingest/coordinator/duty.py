"""Whether this node may coordinate what a partition's log holds, and how long it waits to read that log again.

Both kinds of coordinators, of groups and of transactions, are the leaders of a partition.
"""

from infra.error_code import ErrorCode
from infra.errors import Fenced, NotLeader, Refused
from infra.ports import LogReader

RETRY_SECONDS = 0.5
"""Between two tries to read the log back; the store decides how many it takes."""


def check_coordinates(reader: LogReader, given_up: bool) -> None:
    """Raise `Refused`(NOT_COORDINATOR) when this node may not answer for the partition (the TTL rule)."""
    try:
        if given_up or reader.closed:
            raise NotLeader("this coordinator has moved")
        reader.check_ttl()
    except (NotLeader, Fenced) as error:
        raise Refused(ErrorCode.NOT_COORDINATOR, error.message) from error
