"""Who may do what on this node: follows the rules of the cluster, and puts each API's check before its handler."""

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from cauce.access.asking import Asking, KnownTopics
from cauce.access.table import CHECKS
from infra.clock import Clock
from infra.cluster.state import ClusterState
from infra.errors import CauceError
from infra.security.acl import Operation, ResourceType
from infra.security.acl_ledger import ACLS, acls_of
from infra.security.audit import Audit
from infra.security.authorizer import Authorizer
from infra.settings import Settings
from infra.wire.handler import Handler, RequestContext

log = logging.getLogger(__name__)


def access_of(state: ClusterState, settings: Settings, clock: Clock) -> "Access | None":
    """As the settings say; None when nobody is checked."""
    if not settings["authorizer.class.name"]:
        return None
    kind: str = settings["cauce.audit"]
    return Access(
        state,
        super_users=settings.super_users,
        allow_everyone=settings["allow.everyone.if.no.acl.found"],
        creates_topics=settings["auto.create.topics.enable"],
        audit=None if kind == "off" else Audit(changes=kind == "all", clock=clock),
    )


class Access:
    """One a node. Until the rules are known, and for rules that cannot be read, it goes by those it had: at the start
    there are none, and only super users may do anything."""

    def __init__(
        self,
        state: ClusterState,
        *,
        super_users: frozenset[str],
        allow_everyone: bool = False,
        creates_topics: bool = False,
        audit: Audit | None = None,
    ) -> None:
        self._state = state
        self._super_users = super_users
        self._allow_everyone = allow_everyone
        self._creates_topics = creates_topics
        self._audit = audit
        self._seen: Any = None  # the settings that the authorizer was made of
        self._authorizer = Authorizer(super_users=super_users)
        state.on_change(self._follow)
        self._follow()

    def guard(self, handler: Handler) -> Handler:
        """The same API, for those who may ask it. Raises `KeyError` for an API that nobody has thought about."""
        check = CHECKS[handler.api_key].guard

        class Guarded(Handler):
            api_key: ClassVar[int] = handler.api_key
            min_version: ClassVar[int] = handler.min_version
            max_version: ClassVar[int] = handler.max_version
            advertised_min: ClassVar[int | None] = handler.advertised_min

            async def handle(_, context: RequestContext, request: Any) -> Any:  # noqa: N805 - self is the access
                return await check(self.asking(context), request, lambda left: handler.handle(context, left))

        return Guarded()

    def asking(self, context: RequestContext) -> Asking:
        """The questions of one request."""
        topics: KnownTopics = self._state
        return Asking(self._authorizer, context, topics, audit=self._audit, creates_topics=self._creates_topics)

    def may_fetch(self, context: RequestContext, replica: bool) -> Callable[[str], bool]:
        """Which topics a Fetch may read: nodes that follow all of them, by their right to act for the cluster."""
        asking = self.asking(context)
        if replica:
            allowed = asking.may_cluster(Operation.CLUSTER_ACTION)
            return lambda _: allowed
        known: dict[str, bool] = {}

        def may(topic: str) -> bool:
            if topic not in known:
                known[topic] = asking.may(Operation.READ, ResourceType.TOPIC, topic)
            return known[topic]

        return may

    def _follow(self) -> None:
        settings = self._state.settings(ACLS)
        if settings is self._seen:
            return
        try:
            acls = list(acls_of(settings))
        except CauceError as error:
            log.error("the access rules cannot be read, those known before stay in force: %s", error)
            return
        self._seen = settings
        self._authorizer = Authorizer(acls, super_users=self._super_users, allow_everyone=self._allow_everyone)
