"""DeleteTopics: delete topics by name, from v6 by id too."""

from uuid import UUID

from infra.wire.message import array, int16, int32, message, string, struct, uuid

API_KEY = 20


@struct
class DeleteTopicState:
    """An element of `DeleteTopicsRequest.topics`."""

    name: str | None = string(nullable="0+", default=None)
    topic_id: UUID = uuid()


@message("1-6", flexible="4+")
class DeleteTopicsRequest:
    """The question."""

    topics: list[DeleteTopicState] = array(DeleteTopicState, "6+")
    topic_names: list[str] = array("string", "0-5")
    timeout_ms: int = int32()


@struct
class DeletableTopicResult:
    """An element of `DeleteTopicsResponse.responses`."""

    name: str | None = string(nullable="6+")
    topic_id: UUID = uuid("6+")
    error_code: int = int16()
    error_message: str | None = string("5+", nullable="5+", default=None)


@message("1-6", flexible="4+")
class DeleteTopicsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    responses: list[DeletableTopicResult] = array(DeletableTopicResult)
