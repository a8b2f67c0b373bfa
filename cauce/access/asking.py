"""One request and who asks it: the questions that the checks of all APIs put to the authorizer."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from infra.error_code import ErrorCode
from infra.ports import KnownTopic
from infra.security.acl import CLUSTER_NAME, Operation, ResourceType
from infra.security.audit import Audit
from infra.security.authorizer import Authorizer
from infra.wire.handler import RequestContext

REFUSED: dict[ResourceType, ErrorCode] = {
    ResourceType.TOPIC: ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    ResourceType.GROUP: ErrorCode.GROUP_AUTHORIZATION_FAILED,
    ResourceType.CLUSTER: ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
    ResourceType.TRANSACTIONAL_ID: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
"""What a client is told that may not do something to a resource of a type."""

Answer = Callable[[Any], Awaitable[Any]]
"""Asks the handler: request → response."""

Guard = Callable[["Asking", Any, Answer], Awaitable[Any]]
"""Checks one API: takes out of the request what is not allowed, lets the handler answer the rest, and adds refusals."""


class KnownTopics(Protocol):
    """The topics that exist."""

    def topic_by_name(self, name: str) -> KnownTopic | None: ...
    def topic_by_id(self, topic_id: UUID) -> KnownTopic | None: ...
    def topics(self) -> Sequence[KnownTopic]: ...


class Asking:
    """Who asks, by the rules of the moment the request came."""

    def __init__(
        self,
        authorizer: Authorizer,
        context: RequestContext,
        topics: KnownTopics,
        *,
        audit: Audit | None,
        creates_topics: bool,
    ) -> None:
        """`creates_topics`: whether asking Metadata for a topic creates it (auto.create.topics.enable)."""
        self._authorizer = authorizer
        self._context = context
        self._audit = audit
        self.topics = topics
        self.creates_topics = creates_topics
        self.version = context.api_version

    def may(self, operation: Operation, resource_type: ResourceType, name: str, *, quietly: bool = False) -> bool:
        """Whether this may be done to a resource. `quietly`: a no only makes the answer shorter, and is no refusal."""
        context = self._context
        allowed = self._authorizer.may(context.principal, context.peer, operation, resource_type, name)
        if self._audit is not None and not (quietly and not allowed):
            self._audit.decided(context, operation, resource_type, name, allowed)
        return allowed

    def may_cluster(self, operation: Operation, *, quietly: bool = False) -> bool:
        """Whether this may be done to the cluster."""
        return self.may(operation, ResourceType.CLUSTER, CLUSTER_NAME, quietly=quietly)

    def may_write_somewhere(self) -> bool:
        """Whether there can be a topic that may be written to."""
        context = self._context
        return self._authorizer.may_somewhere(context.principal, context.peer, Operation.WRITE, ResourceType.TOPIC)

    def operations(self, resource_type: ResourceType, name: str) -> int:
        """What may be done to a resource, as bits (KIP-430)."""
        return self._authorizer.operations(self._context.principal, self._context.peer, resource_type, name)
