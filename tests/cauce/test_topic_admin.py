"""Topics are created, grown and deleted as Kafka does it, and refused with its codes and our sentences."""

import pytest

from cauce.topic_admin import NewTopic
from infra.error_code import ErrorCode
from infra.errors import Refused
from tests.cauce.administration import Cluster, in_cluster


def _refused(cluster: Cluster, wanted: NewTopic) -> tuple[ErrorCode, str]:
    with pytest.raises(Refused) as refused:
        cluster.topics.check(wanted)
    return refused.value.code, refused.value.message


def test_how_many_partitions_a_topic_gets() -> None:
    async def test(cluster: Cluster) -> None:
        check = cluster.topics.check
        assert check(NewTopic("t")) == 3
        assert check(NewTopic("t", 5, replication_factor=3)) == 5
        assert check(NewTopic("t", assignments={1: [1], 0: [1]})) == 2

    in_cluster(test)


@pytest.mark.parametrize(
    ("wanted", "code", "says"),
    [
        (NewTopic("a b"), ErrorCode.INVALID_TOPIC_EXCEPTION, "may hold only ASCII letters"),
        (NewTopic("taken"), ErrorCode.TOPIC_ALREADY_EXISTS, "'taken' exists already"),
        (NewTopic("a_b"), ErrorCode.INVALID_TOPIC_EXCEPTION, "'a_b' differs from 'a.b' only in '.' and '_'"),
        (NewTopic("t", 0), ErrorCode.INVALID_PARTITIONS, "must be 1 to 10000"),
        (NewTopic("t", -2), ErrorCode.INVALID_PARTITIONS, "must be 1 to 10000"),
        (NewTopic("t", 10_001), ErrorCode.INVALID_PARTITIONS, "must be 1 to 10000"),
        (NewTopic("t", 1, 0), ErrorCode.INVALID_REPLICATION_FACTOR, "must be larger than 0"),
        (NewTopic("t", 1, -2), ErrorCode.INVALID_REPLICATION_FACTOR, "must be larger than 0"),
        (NewTopic("t", configs={"nope": "1"}), ErrorCode.INVALID_CONFIG, "unknown topic config 'nope'"),
        (NewTopic("t", configs={"retention.ms": None}), ErrorCode.INVALID_CONFIG, "must not be null"),
        (NewTopic("t", 2, assignments={0: [1]}), ErrorCode.INVALID_REQUEST, "give either assignments or numbers"),
        (NewTopic("t", -1, 1, {0: [1]}), ErrorCode.INVALID_REQUEST, "give either assignments or numbers"),
        (NewTopic("t", assignments={0: [1], 2: [1]}), ErrorCode.INVALID_REPLICA_ASSIGNMENT, "without a gap"),
        (NewTopic("t", assignments={0: []}), ErrorCode.INVALID_REPLICA_ASSIGNMENT, "one at least"),
        (NewTopic("t", assignments={0: [1], 1: [1, 2]}), ErrorCode.INVALID_REPLICA_ASSIGNMENT, "same number of nodes"),
        (NewTopic("t", assignments={0: [1, 1]}), ErrorCode.INVALID_REPLICA_ASSIGNMENT, "assigned twice"),
        (NewTopic("t", assignments={0: [9]}), ErrorCode.INVALID_REPLICA_ASSIGNMENT, "only the nodes [1] are there"),
    ],
    ids=lambda one: str(one) if isinstance(one, NewTopic) else "",
)
def test_what_cannot_be_created(wanted: NewTopic, code: ErrorCode, says: str) -> None:
    async def test(cluster: Cluster) -> None:
        for name in ("taken", "a.b"):
            await cluster.topics.create(NewTopic(name), 0)
        before = list(cluster.world.store.keys())
        found, sentence = _refused(cluster, wanted)
        assert (found, says in sentence) == (code, True), sentence
        with pytest.raises(Refused):
            await cluster.topics.create(wanted, 0)
        assert list(cluster.world.store.keys()) == before

    in_cluster(test)


def test_a_topic_comes_grows_and_goes() -> None:
    async def test(cluster: Cluster) -> None:
        topics, state = cluster.topics, cluster.state
        made = await topics.create(NewTopic("t", configs={"retention.ms": "5"}), 0)
        assert state.topic_by_name("t") == made
        assert (made.partitions, dict(made.configs), cluster.changes) == (3, {"retention.ms": "5"}, 1)
        await topics.add_partitions(made, 5, 0)
        grown = state.topic_by_name("t")
        assert grown is not None
        assert (grown.topic_id, grown.partitions, cluster.changes) == (made.topic_id, 5, 2)
        await topics.delete(grown)
        assert state.topic_by_name("t") is None
        again = await topics.create(NewTopic("t"), 0)
        assert again.topic_id != made.topic_id

    in_cluster(test)


def test_growing_needs_more_partitions_and_whole_assignments() -> None:
    async def test(cluster: Cluster) -> None:
        topic = await cluster.topics.create(NewTopic("t"), 0)
        check = cluster.topics.check_partitions
        check(topic, 4, None)
        check(topic, 5, [[1], [1]])
        for count, assignments, code in (
            (3, None, ErrorCode.INVALID_PARTITIONS),
            (1, None, ErrorCode.INVALID_PARTITIONS),
            (10_001, None, ErrorCode.INVALID_PARTITIONS),
            (5, [[1]], ErrorCode.INVALID_REPLICA_ASSIGNMENT),
            (4, [[9]], ErrorCode.INVALID_REPLICA_ASSIGNMENT),
            (4, [[]], ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        ):
            with pytest.raises(Refused) as refused:
                check(topic, count, assignments)
            assert refused.value.code is code

    in_cluster(test)


def test_internal_topics_are_made_when_needed() -> None:
    async def test(cluster: Cluster) -> None:
        cluster.state.wait_until = _at_once  # type: ignore[method-assign]
        made = await cluster.topics.ensure("__consumer_offsets")
        assert (made.partitions, dict(made.configs)) == (16, {"cleanup.policy": "compact"})
        assert await cluster.topics.ensure("__consumer_offsets") is cluster.state.topic_by_name("__consumer_offsets")

    in_cluster(test)


async def _at_once(predicate: object, timeout: float) -> bool:
    return False
