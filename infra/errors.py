"""The errors of Cauce: few, each asks another reaction of its caller, each has a Kafka error code.

    CauceError
    ├── Refused        the request is wrong: tell the client, change nothing       (the code it names)
    ├── NotLeader      somebody else leads: refresh metadata and go there           NOT_LEADER_OR_FOLLOWER
    ├── Fenced         this session is over: stop acknowledging, register anew      NOT_LEADER_OR_FOLLOWER
    ├── Unavailable    store, Redis or a peer does not answer: try again later      (a retriable code)
    ├── Exists         create-if-absent was refused: read what is there             —
    ├── NotFound       no object under that key                                     —
    ├── Corrupt        bytes are not what they claim; names the object              CORRUPT_MESSAGE
    └── BadStart       settings, data folder or bucket cannot be used as they are: stop, say what to do

Adapters translate foreign exceptions into these where they meet them.
"""

from infra.error_code import ErrorCode


class CauceError(Exception):
    """Base of all; `code` is what a Kafka client is told."""

    code: ErrorCode = ErrorCode.UNKNOWN_SERVER_ERROR

    @property
    def message(self) -> str:
        """One sentence for a person."""
        return str(self)


class Refused(CauceError):
    """The request is wrong in itself; `code` says how, the message what to send instead."""

    def __init__(self, code: ErrorCode, message: str = "") -> None:
        super().__init__(message or code.name)
        self.code = code


class NotLeader(CauceError):
    """This node does not lead that partition (any more)."""

    code = ErrorCode.NOT_LEADER_OR_FOLLOWER


class Fenced(CauceError):
    """This node's session has been ended by a fence, or outlived its TTL."""

    code = ErrorCode.NOT_LEADER_OR_FOLLOWER


class Unavailable(CauceError):
    """A part we depend on does not answer now; the same call may succeed later."""

    code = ErrorCode.REQUEST_TIMED_OUT


class Exists(CauceError):
    """Create-if-absent found another writer's object under the key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} exists already")
        self.key = key


class NotFound(CauceError):
    """No object is stored under the key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} does not exist")
        self.key = key


class Corrupt(CauceError):
    """Bytes are not what they claim to be; the message names the object or file and the place."""

    code = ErrorCode.CORRUPT_MESSAGE


class BadStart(CauceError):
    """The node cannot start like this; the message says what to change."""
