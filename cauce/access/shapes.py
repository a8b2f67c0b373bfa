"""The shapes that most checks have: all or nothing, each element of a list for itself, or a listing made shorter."""

from collections.abc import Callable
from typing import Any

from cauce.access.asking import REFUSED, Answer, Asking, Guard
from infra.error_code import ErrorCode
from infra.security.acl import CLUSTER_NAME, Operation, ResourceType


async def open_to_all(_: Asking, request: Any, answer: Answer) -> Any:
    """The check of an API that anybody may ask."""
    return await answer(request)


def all_or_nothing(
    operation: Operation,
    resource_type: ResourceType,
    name_of: Callable[[Any], str],
    refuse: Callable[[Any, ErrorCode], Any],
) -> Guard:
    """One resource decides; `refuse(request, code)` makes the whole answer."""

    async def guard(asking: Asking, request: Any, answer: Answer) -> Any:
        if asking.may(operation, resource_type, name_of(request)):
            return await answer(request)
        return refuse(request, REFUSED[resource_type])

    return guard


def cluster(operation: Operation, refuse: Callable[[Any, ErrorCode], Any]) -> Guard:
    """The cluster decides."""
    return all_or_nothing(operation, ResourceType.CLUSTER, lambda _: CLUSTER_NAME, refuse)


def each(
    operation: Operation,
    resource_type: ResourceType,
    asked: str,
    told: str,
    response: Callable[[], Any],
    refuse: Callable[[Any, ErrorCode], Any],
    name: str = "name",
) -> Guard:
    """Each element of the request's list `asked` for itself: `refuse(element, code)` makes its element of the answer's
    list `told`. `name`: the field of the resource's name; empty when the elements are names."""
    return each_of(
        operation, lambda one: (resource_type, getattr(one, name) if name else one), asked, told, response, refuse
    )


def each_of(
    operation: Operation,
    resource: Callable[[Any], tuple[ResourceType, str]],
    asked: str,
    told: str,
    response: Callable[[], Any],
    refuse: Callable[[Any, ErrorCode], Any],
) -> Guard:
    """As `each`, where elements are about resources of several types: `resource(element)` is type and name."""

    async def guard(asking: Asking, request: Any, answer: Answer) -> Any:
        allowed, refused = split(getattr(request, asked), lambda one: asking.may(operation, *resource(one)))
        if not refused:
            return await answer(request)
        setattr(request, asked, allowed)
        result = await answer(request) if allowed else response()
        getattr(result, told).extend(refuse(one, REFUSED[resource(one)[0]]) for one in refused)
        return result

    return guard


def topic_refusal(topic: Any, partition: Any, **fields: Any) -> Callable[[Any, ErrorCode], Any]:
    """What `each` wants as `refuse` where an answer has an error for each partition: the classes of its topics and
    partitions; `fields` of every partition."""

    def refuse(asked: Any, code: ErrorCode) -> Any:
        partitions = [
            partition(partition_index=one.partition_index, error_code=code, **fields) for one in asked.partitions
        ]
        return topic(name=asked.name, partitions=partitions)

    return refuse


def listing(operation: Operation, resource_type: ResourceType, told: str, name: str) -> Guard:
    """A listing without what the client must not see."""

    async def guard(asking: Asking, request: Any, answer: Answer) -> Any:
        result = await answer(request)
        rows = getattr(result, told)
        rows[:] = [row for row in rows if asking.may(operation, resource_type, getattr(row, name), quietly=True)]
        return result

    return guard


def split(rows: list[Any], allowed: Callable[[Any], bool]) -> tuple[list[Any], list[Any]]:
    """Those that are allowed, and the others; each is asked about once."""
    yes: list[Any] = []
    no: list[Any] = []
    for row in rows:
        (yes if allowed(row) else no).append(row)
    return yes, no
