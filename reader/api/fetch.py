"""Fetch v4 to v16.

Long polling, sessions (KIP-227), leader epochs (KIP-320). The first batch of the first partition with data is always
given whole, whatever the limits (KIP-74). Versions: v7 sessions, v9 current leader epoch, v10 zstd (asked with less,
a zstd batch is UNSUPPORTED_COMPRESSION_TYPE), v12 flexible and last fetched epoch, v13 topic ids instead of names,
v16 current leader and its endpoint with NOT_LEADER_OR_FOLLOWER.
"""

from collections.abc import Iterable
from typing import ClassVar
from uuid import UUID

from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.limits import FETCH_MAX_BYTES
from infra.partition import PartitionId
from infra.ports import TopicDirectory
from infra.records.batch import codec_of
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import fetch as message
from reader.fetch import Fetched, Fetcher, FetchLimits, PartitionFetch
from reader.fetch_session import FetchSession, FetchSessionCache, Key, TopicKey, Wanted, wanted_of

_NO_TOPIC = UUID(int=0)
_ZSTD = 4
_FIRST_VERSION_WITH_ZSTD = 10
_FIRST_VERSION_WITH_IDS = 13


class FetchHandler(Handler):
    """Answers Fetch for the partitions this node leads."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 4
    max_version: ClassVar[int] = 16

    def __init__(self, topics: TopicDirectory, fetcher: Fetcher, sessions: FetchSessionCache) -> None:
        self._topics = topics
        self._fetcher = fetcher
        self._sessions = sessions

    async def handle(self, context: RequestContext, request: message.FetchRequest) -> message.FetchResponse:
        by_id = context.api_version >= _FIRST_VERSION_WITH_IDS
        try:
            session = self._sessions.open(request, by_id)
        except Refused as refused:
            return message.FetchResponse(error_code=refused.code)
        rows = list(session.wanted.items()) if session else list(wanted_of(request, by_id))
        fetches = [self._resolve(key, wanted) for key, wanted in rows]
        limits = FetchLimits(
            max_wait_seconds=max(0, request.max_wait_ms) / 1000,
            min_bytes=request.min_bytes,
            max_bytes=min(request.max_bytes, FETCH_MAX_BYTES),
            read_committed=request.isolation_level == 1,
        )
        answers = await self._fetcher.fetch(fetches, limits)
        if context.api_version < _FIRST_VERSION_WITH_ZSTD:
            for answer in answers:
                _refuse_zstd(answer)
        return self._response(rows, fetches, answers, limits, session, incremental=request.session_epoch > 0)

    def _resolve(self, key: Key, wanted: Wanted) -> PartitionFetch:
        name, partition = key
        if isinstance(name, UUID):
            topic = self._topics.topic_by_id(name)
            missing = ErrorCode.UNKNOWN_TOPIC_ID
        else:
            topic = self._topics.topic_by_name(name)
            missing = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        refused = ErrorCode.NONE
        if topic is None:
            refused = missing
        elif not 0 <= partition < topic.partitions:
            refused = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return PartitionFetch(
            PartitionId(topic.topic_id if topic else _NO_TOPIC, partition),
            wanted.fetch_offset,
            wanted.max_bytes,
            wanted.current_leader_epoch,
            wanted.last_fetched_epoch,
            refused,
        )

    def _response(
        self,
        rows: list[tuple[Key, Wanted]],
        fetches: list[PartitionFetch],
        answers: list[Fetched],
        limits: FetchLimits,
        session: FetchSession | None,
        incremental: bool,
    ) -> message.FetchResponse:
        told: list[tuple[Key, message.PartitionData]] = []
        full: list[Key] = []
        for (key, wanted), fetch, answer in zip(rows, fetches, answers, strict=True):
            data = self._partition(key[1], fetch, answer, limits)
            news = wanted.news(data, bool(answer.batches))
            if news or not incremental:
                told.append((key, data))
            if answer.batches:
                full.append(key)
        if session:
            session.served(full)
        return message.FetchResponse(session_id=session.session_id if session else 0, responses=list(_by_topic(told)))

    def _partition(
        self, index: int, fetch: PartitionFetch, answer: Fetched, limits: FetchLimits
    ) -> message.PartitionData:
        data = message.PartitionData(
            partition_index=index,
            error_code=answer.error,
            high_watermark=answer.high_watermark,
            last_stable_offset=answer.last_stable_offset,
            log_start_offset=answer.log_start_offset,
            aborted_transactions=[] if limits.read_committed else None,
            records=answer.batches,  # type: ignore[arg-type]  # the hot codec takes the buffers of whole batches
        )
        if answer.diverging is not None:
            data.diverging_epoch = message.EpochEndOffset(epoch=answer.diverging[0], end_offset=answer.diverging[1])
        if answer.error in (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH):
            lease = self._topics.leader(fetch.partition)
            if lease is not None:
                data.current_leader = message.LeaderIdAndEpoch(
                    leader_id=lease.session.node_id, leader_epoch=lease.leader_epoch
                )
        return data


def _refuse_zstd(answer: Fetched) -> None:
    if any(codec_of(batch) == _ZSTD for batch in answer.batches):
        answer.error, answer.batches = ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, []


def _by_topic(rows: Iterable[tuple[Key, message.PartitionData]]) -> Iterable[message.FetchableTopicResponse]:
    topics: dict[TopicKey, message.FetchableTopicResponse] = {}
    for (name, _), data in rows:
        topic = topics.get(name)
        if topic is None:
            by_id = isinstance(name, UUID)
            topic = message.FetchableTopicResponse(
                topic="" if by_id else str(name), topic_id=name if isinstance(name, UUID) else _NO_TOPIC
            )
            topics[name] = topic
        topic.partitions.append(data)
    return topics.values()
