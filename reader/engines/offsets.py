"""Where a query begins and ends in each partition, and how far one of its steps goes: pure."""

from collections.abc import Mapping

from infra.error_code import ErrorCode
from infra.errors import Refused
from reader.engines.spark_options import EARLIEST, Offsets
from reader.replay.plan import Span


def resolve(name: str, offsets: Offsets, there: Mapping[int, Span]) -> dict[int, int]:
    """An offset for each partition. `there`: what each has now. Raises `Refused` when not all are named."""
    if not isinstance(offsets, str) and set(offsets) != set(there):
        numbers = ", ".join(str(one) for one in sorted(there))
        raise Refused(ErrorCode.INVALID_REQUEST, f"{name} has to name every partition that is read: {numbers}")
    found = {}
    for partition, span in there.items():
        place = offsets if isinstance(offsets, str) else offsets[partition]
        if isinstance(place, int):
            found[partition] = place
        else:
            found[partition] = span.start if place == EARLIEST else span.end
    return found


def limited(start: Mapping[int, int], end: Mapping[int, int], most: int) -> dict[int, int]:
    """An end of at most so many offsets beyond `start`, which names the same partitions, shared as they lag behind."""
    lags = {partition: max(0, end[partition] - start[partition]) for partition in sorted(end)}
    whole = sum(lags.values())
    if whole <= most:
        return dict(end)
    shares = {partition: lag * most // whole for partition, lag in lags.items()}
    spare = most - sum(shares.values())
    for partition, lag in lags.items():
        more = min(spare, lag - shares[partition])
        shares[partition] += more
        spare -= more
    return {partition: start[partition] + share for partition, share in shares.items()}


def missing(start: Mapping[int, int], there: Mapping[int, Span]) -> list[int]:
    """Partitions whose log begins, or ends, where their next record cannot be had any more."""
    gone = [one for one in start if one not in there]
    return gone + [one for one, span in there.items() if one in start and not span.start <= start[one] <= span.end]
