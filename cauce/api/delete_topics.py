"""DeleteTopics v1 to v6: by name, from v6 on by topic id too. Every topic asked for is answered."""

from typing import ClassVar
from uuid import UUID

from cauce.topic_admin import TopicAdmin
from infra.cluster.state import ClusterState
from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import delete_topics as message

_NO_TOPIC = UUID(int=0)
_FIRST_VERSION_WITH_IDS = 6


class DeleteTopicsHandler(Handler):
    """Deletes topics through the topic ledger; any node may."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 1
    max_version: ClassVar[int] = 6

    def __init__(self, state: ClusterState, admin: TopicAdmin) -> None:
        self._state = state
        self._admin = admin

    async def handle(
        self, context: RequestContext, request: message.DeleteTopicsRequest
    ) -> message.DeleteTopicsResponse:
        if context.api_version >= _FIRST_VERSION_WITH_IDS:
            wanted = [(state.name, state.topic_id) for state in request.topics]
        else:
            wanted = [(name, _NO_TOPIC) for name in request.topic_names]
        return message.DeleteTopicsResponse(responses=[await self._delete(*one) for one in wanted])

    async def _delete(self, name: str | None, topic_id: UUID) -> message.DeletableTopicResult:
        result = message.DeletableTopicResult(name=name, topic_id=topic_id, error_message=None)
        try:
            if name is not None and topic_id != _NO_TOPIC:
                raise Refused(ErrorCode.INVALID_REQUEST, "name a topic or its id, not both")
            topic = self._state.topic_by_name(name) if name is not None else self._state.topic_by_id(topic_id)
            if topic is None:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_ID if name is None else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            await self._admin.delete(topic)
            result.name, result.topic_id = topic.name, topic.topic_id
        except CauceError as error:
            result.error_code, result.error_message = error.code, error.message
        return result
