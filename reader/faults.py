"""What clients are told when a read fails: shared by the handlers of the read side."""

from infra.error_code import ErrorCode
from infra.errors import BadStart, CauceError, Corrupt, NotFound


def code_of(error: CauceError) -> ErrorCode:
    """Kafka's code for what came up while reading. KAFKA_STORAGE_ERROR, which clients try again after a while, stands
    for whatever is wrong with objects; CORRUPT_MESSAGE and UNKNOWN_SERVER_ERROR would be taken for the client's end."""
    return ErrorCode.KAFKA_STORAGE_ERROR if isinstance(error, Corrupt | NotFound | BadStart) else error.code
