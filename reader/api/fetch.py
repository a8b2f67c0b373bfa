"""Fetch v4 to v16.

Long polling, sessions (KIP-227), leader epochs (KIP-320). The first batch of the first partition with data is always
given whole, whatever the limits (KIP-74). Consumers (not replicas) may be sent to reader nodes (KIP-392).

Versions: v7 sessions, v9 current leader epoch, v10 zstd (asked with less, a zstd batch is
UNSUPPORTED_COMPRESSION_TYPE), v11 the consumer's rack and preferred read replicas, v12 flexible and last fetched epoch,
v13 topic ids instead of names, v16 current leader and its endpoint with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar
from uuid import UUID

from infra.clock import SYSTEM_CLOCK, Clock
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.limits import FETCH_MAX_BYTES
from infra.partition import PartitionId
from infra.ports import KnownTopic, TopicDirectory
from infra.records.batch import codec_of
from infra.view.port import LiveSession
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import fetch as message
from reader.fetch import Fetcher
from reader.fetch_pass import Fetched, FetchLimits, PartitionFetch, Refer, refer_nobody
from reader.fetch_session import FetchSession, FetchSessionCache, Key, TopicKey, Wanted, following_epoch, wanted_of
from reader.observer import ReadObserver
from reader.referrals import Referrals

_NO_TOPIC = UUID(int=0)
_ZSTD = 4
_FIRST_VERSION_WITH_ZSTD = 10
_FIRST_VERSION_WITH_READERS = 11
_FIRST_VERSION_WITH_IDS = 13
_FIRST_VERSION_WITH_LEADERS = 16
_LED_ELSEWHERE = (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH)

_Row = tuple[Key, Wanted]
MayFetch = Callable[[RequestContext, bool], Callable[[str], bool]]
"""Request and whether a replica asks → which topics it may read, by name."""


class FetchHandler(Handler):
    """Answers Fetch for the partitions this node leads or follows.

    `nodes` tells where the leaders of the others are reached, `referrals` whom a leader sends to a reader node,
    `may_fetch` who may read what (None: all may read everything).
    """

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 4
    max_version: ClassVar[int] = 16

    def __init__(
        self,
        topics: TopicDirectory,
        fetcher: Fetcher,
        sessions: FetchSessionCache,
        *,
        nodes: Callable[[], Sequence[LiveSession]] = tuple,
        clock: Clock = SYSTEM_CLOCK,
        observer: ReadObserver | None = None,
        referrals: Referrals | None = None,
        may_fetch: MayFetch | None = None,
    ) -> None:
        self._topics = topics
        self._fetcher = fetcher
        self._sessions = sessions
        self._nodes = nodes
        self._clock = clock
        self._observer = observer or ReadObserver()
        self._referrals = referrals
        self._may_fetch = may_fetch

    async def handle(self, context: RequestContext, request: message.FetchRequest) -> message.FetchResponse:
        by_id = context.api_version >= _FIRST_VERSION_WITH_IDS
        try:
            session = self._sessions.open(request, by_id)
        except Refused as refused:
            return message.FetchResponse(error_code=refused.code)
        rows = list(session.wanted.items()) if session else list(wanted_of(request, by_id))
        may_read = None if self._may_fetch is None else self._may_fetch(context, _is_replica(request))
        fetches = [self._resolve(key, wanted, may_read) for key, wanted in rows]
        limits = _limits_of(request)
        answers = await self._fetcher.fetch(fetches, limits, self._refer(context, request))
        if session and session.epoch != following_epoch(request.session_epoch):
            # Another request of this session overtook us: what it was told must not be told again.
            return message.FetchResponse(
                error_code=ErrorCode.INVALID_FETCH_SESSION_EPOCH, session_id=session.session_id
            )
        if context.api_version < _FIRST_VERSION_WITH_ZSTD:
            for answer in answers:
                _withhold_zstd(answer)
        data = [_partition(key[1], answer, limits) for (key, _), answer in zip(rows, answers, strict=True)]
        response = message.FetchResponse()
        if context.api_version >= _FIRST_VERSION_WITH_LEADERS:
            self._tell_leaders(response, fetches, data, context.listener)
        _put(response, rows, data, session, incremental=request.session_epoch > 0)
        if not _is_replica(request):
            self._observe(context, rows, answers)
        return response

    def _refer(self, context: RequestContext, request: message.FetchRequest) -> Refer:
        if self._referrals is None or context.api_version < _FIRST_VERSION_WITH_READERS or _is_replica(request):
            return refer_nobody
        return self._referrals.of(context.connection_id, context.listener, request.rack_id)

    def _resolve(self, key: Key, wanted: Wanted, may_read: Callable[[str], bool] | None) -> PartitionFetch:
        name, partition = key
        topic = self._topic(name)
        refused = ErrorCode.NONE
        if topic is None:
            by_id = isinstance(name, UUID)
            refused = ErrorCode.UNKNOWN_TOPIC_ID if by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        elif not 0 <= partition < topic.partitions:
            refused = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        if may_read is not None:  # the name of a topic that does not exist is asked about too, its id is not known
            asked = name if isinstance(name, str) else topic.name if topic else None
            if asked is not None and not may_read(asked):
                refused = ErrorCode.TOPIC_AUTHORIZATION_FAILED
        return PartitionFetch(
            PartitionId(topic.topic_id if topic else _NO_TOPIC, partition),
            wanted.fetch_offset,
            wanted.max_bytes,
            wanted.current_leader_epoch,
            wanted.last_fetched_epoch,
            refused,
        )

    def _topic(self, name: TopicKey) -> KnownTopic | None:
        return self._topics.topic_by_id(name) if isinstance(name, UUID) else self._topics.topic_by_name(name)

    def _tell_leaders(
        self,
        response: message.FetchResponse,
        fetches: Iterable[PartitionFetch],
        answers: Iterable[message.PartitionData],
        listener: str,
    ) -> None:
        leaders: set[int] = set()
        for fetch, data in zip(fetches, answers, strict=True):
            lease = self._topics.leader(fetch.partition) if data.error_code in _LED_ELSEWHERE else None
            if lease is not None:
                node_id = lease.session.node_id
                data.current_leader = message.LeaderIdAndEpoch(leader_id=node_id, leader_epoch=lease.leader_epoch)
                leaders.add(node_id)
        if leaders:
            response.node_endpoints = [
                endpoint
                for node in self._nodes()
                if node.session.node_id in leaders and (endpoint := _endpoint(node, listener)) is not None
            ]

    def _observe(self, context: RequestContext, rows: Iterable[_Row], answers: Sequence[Fetched]) -> None:
        for (key, _), answer in zip(rows, answers, strict=True):
            topic = self._topic(key[0]) if answer.batches else None
            if topic is not None:
                self._observer.fetched(topic.name, answer.size)
        referred = sum(answer.reader >= 0 for answer in answers)
        if referred:
            self._observer.referred(referred)
        if context.received_at:
            self._observer.answered(self._clock.monotonic() - context.received_at)


def _is_replica(request: message.FetchRequest) -> bool:
    return request.replica_id >= 0 or request.replica_state.replica_id >= 0


def _limits_of(request: message.FetchRequest) -> FetchLimits:
    max_bytes = min(request.max_bytes, FETCH_MAX_BYTES)
    return FetchLimits(
        max_wait_seconds=max(0, request.max_wait_ms) / 1000,
        min_bytes=min(request.min_bytes, max_bytes),
        max_bytes=max_bytes,
        read_committed=request.isolation_level == 1,
    )


def _partition(index: int, answer: Fetched, limits: FetchLimits) -> message.PartitionData:
    data = message.PartitionData(
        partition_index=index,
        error_code=answer.error,
        high_watermark=answer.high_watermark,
        last_stable_offset=answer.last_stable_offset,
        log_start_offset=answer.log_start_offset,
        aborted_transactions=_aborted(answer) if limits.read_committed and answer.error is ErrorCode.NONE else None,
        preferred_read_replica=answer.reader,
        records=answer.batches,
    )
    if answer.diverging is not None:
        data.diverging_epoch = message.EpochEndOffset(epoch=answer.diverging[0], end_offset=answer.diverging[1])
    return data


def _aborted(answer: Fetched) -> list[message.AbortedTransaction]:
    return [
        message.AbortedTransaction(producer_id=one.producer_id, first_offset=one.first_offset) for one in answer.aborted
    ]


def _put(
    response: message.FetchResponse,
    rows: Iterable[_Row],
    answers: Iterable[message.PartitionData],
    session: FetchSession | None,
    incremental: bool,
) -> None:
    """Fill in all partitions, or those that the session's consumer must hear of."""
    told: list[tuple[Key, message.PartitionData]] = []
    gave: list[Key] = []
    for (key, wanted), data in zip(rows, answers, strict=True):
        has_records = bool(data.records)
        if wanted.news(data, has_records) or session is None or not incremental:
            told.append((key, data))
        if has_records:
            gave.append(key)
    if session:
        session.served(gave)
        response.session_id = session.session_id
    response.responses = list(_by_topic(told))


def _withhold_zstd(answer: Fetched) -> None:
    """Give what lies before the first zstd batch; where that is nothing, say why."""
    at = next((at for at, batch in enumerate(answer.batches) if codec_of(batch) == _ZSTD), None)
    if at == 0:
        answer.fail(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
    elif at is not None:
        del answer.batches[at:]


def _endpoint(node: LiveSession, listener: str) -> message.NodeEndpoint | None:
    address = node.endpoints.get(listener)
    if address is None:
        return None
    host, _, port = address.rpartition(":")
    return message.NodeEndpoint(node_id=node.session.node_id, host=host.strip("[]"), port=int(port), rack=node.rack)


def _by_topic(rows: Iterable[tuple[Key, message.PartitionData]]) -> Iterable[message.FetchableTopicResponse]:
    topics: dict[TopicKey, message.FetchableTopicResponse] = {}
    for (name, _), data in rows:
        topic = topics.get(name)
        if topic is None:
            topic = message.FetchableTopicResponse()
            if isinstance(name, UUID):
                topic.topic_id = name
            else:
                topic.topic = name
            topics[name] = topic
        topic.partitions.append(data)
    return topics.values()
