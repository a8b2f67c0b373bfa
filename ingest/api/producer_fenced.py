"""PRODUCER_FENCED in versions of the transaction calls that came before that code."""

from infra.error_code import ErrorCode


def known_code(code: ErrorCode, version: int, since: int) -> ErrorCode:
    """`code` as clients of a version know it; PRODUCER_FENCED is known `since` one, INVALID_PRODUCER_EPOCH to all."""
    if code is ErrorCode.PRODUCER_FENCED and version < since:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    return code
