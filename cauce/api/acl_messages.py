"""What the three calls about access rules share: rules and filters as they travel."""

from enum import IntEnum
from typing import Protocol, TypeVar

from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.security.acl import Acl, AclFilter, Operation, Pattern, PatternType, Permission, ResourceType, Rule

E = TypeVar("E", bound=IntEnum)


class Filter(Protocol):
    """The fields of a filter, in DescribeAcls as in DeleteAcls."""

    resource_type_filter: int
    resource_name_filter: str | None
    pattern_type_filter: int
    principal_filter: str | None
    host_filter: str | None
    operation: int
    permission_type: int


class Creation(Protocol):
    """The fields of a rule in CreateAcls."""

    resource_type: int
    resource_name: str
    resource_pattern_type: int
    principal: str
    host: str
    operation: int
    permission_type: int


def no_authorizer() -> Refused:
    """What the three calls answer on a node that checks nobody."""
    return Refused(
        ErrorCode.SECURITY_DISABLED, "this node knows no access rules; start it with authorizer.class.name=cauce"
    )


def filter_of(message: Filter) -> AclFilter:
    """Raises `Refused` for numbers that nobody knows."""
    return AclFilter(
        _known(ResourceType, message.resource_type_filter),
        message.resource_name_filter,
        _known(PatternType, message.pattern_type_filter),
        message.principal_filter,
        message.host_filter,
        _known(Operation, message.operation),
        _known(Permission, message.permission_type),
    )


def acl_of(message: Creation) -> Acl:
    """Raises `Refused` for numbers that nobody knows."""
    pattern = Pattern(
        _known(ResourceType, message.resource_type),
        message.resource_name,
        _known(PatternType, message.resource_pattern_type),
    )
    operation, permission = _known(Operation, message.operation), _known(Permission, message.permission_type)
    return Acl(pattern, Rule(message.principal, message.host, operation, permission))


def _known(kind: type[E], number: int) -> E:
    try:
        return kind(number)
    except ValueError:
        raise Refused(ErrorCode.INVALID_REQUEST, f"there is no {kind.__name__} with the number {number}") from None
