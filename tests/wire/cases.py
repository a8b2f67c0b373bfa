"""The cases: plain functions of a client and a fresh name, in groups. Their docstrings are the rows of the docs."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from infra.error_code import ErrorCode
from tests.wire.client import WAIT_SECONDS, Client, Got, Member, RefusedByServer, Sent, Transactional

T = TypeVar("T")

FOR_EVER = {"retention.ms": "-1"}  # records of times long past are expired as soon as a compactor looks


def eventually(what: str, probe: Callable[[], T]) -> T:
    """Poll until the probe gives something true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_SECONDS:.0f} s"
        time.sleep(0.05)


def known(client: Client, what: str, probe: Callable[[], bool]) -> None:
    """A change holds for whoever asks: at once where there is one node. Where there are several, those that did not
    make it hear of it a moment later, as Kafka's brokers do: when such a one was asked, the client notes how late."""
    began = time.monotonic()
    if probe():
        return
    assert client.node_count > 1, what
    eventually(what, probe)
    late_ms = 1000 * (time.monotonic() - began)
    client.notes.append(f"{what}: a node that was asked at first knew it {late_ms:.0f} ms later")


def refused(code: ErrorCode, call: Callable[[], object]) -> None:
    with pytest.raises(RefusedByServer) as caught:
        call()
    assert caught.value.code == code


def round_trip(client: Client, topic: str, records: list[Sent], **options: object) -> list[Got]:
    client.create_topic(topic, configs=FOR_EVER)
    offsets = client.produce(topic, records, **options)  # type: ignore[arg-type]
    got = client.read(topic, len(records))
    assert [one.offset for one in got] == list(range(len(records)))
    if options.get("acks") != 0:
        assert offsets == list(range(len(records)))
    assert [(one.key, one.value, one.headers) for one in got] == [(one.key, one.value, one.headers) for one in records]
    return got


def numbered(count: int, size: int = 100, partition: int | None = 0) -> list[Sent]:
    return [Sent(b"%08d" % number * (size // 8), b"k%d" % number, partition=partition) for number in range(count)]


# -- produce


def produce_uncompressed(client: Client, name: str) -> None:
    """records uncompressed"""
    round_trip(client, name, numbered(200))


def produce_gzip(client: Client, name: str) -> None:
    """records with gzip"""
    round_trip(client, name, numbered(200), codec="gzip")


def produce_snappy(client: Client, name: str) -> None:
    """records with snappy"""
    round_trip(client, name, numbered(200), codec="snappy")


def produce_lz4(client: Client, name: str) -> None:
    """records with lz4"""
    round_trip(client, name, numbered(200), codec="lz4")


def produce_zstd(client: Client, name: str) -> None:
    """records with zstd"""
    round_trip(client, name, numbered(200), codec="zstd")


def produce_acks_none(client: Client, name: str) -> None:
    """acks=0"""
    round_trip(client, name, numbered(50), acks=0)


def produce_acks_leader(client: Client, name: str) -> None:
    """acks=1"""
    round_trip(client, name, numbered(50), acks=1)


def produce_idempotent(client: Client, name: str) -> None:
    """idempotent producer"""
    round_trip(client, name, numbered(500), idempotent=True)


def produce_tombstones(client: Client, name: str) -> None:
    """tombstones (null values)"""
    round_trip(client, name, [Sent(b"v", b"k"), Sent(None, b"k"), Sent(None, b"other")])


def produce_null_keys(client: Client, name: str) -> None:
    """null keys"""
    round_trip(client, name, [Sent(b"v1"), Sent(b"v2", b"k"), Sent(b"v3")])


def produce_empty_keys_and_values(client: Client, name: str) -> None:
    """empty keys and values, told apart from null"""
    round_trip(client, name, [Sent(b"", b""), Sent(None, b""), Sent(b"", b"k")])


def produce_headers(client: Client, name: str) -> None:
    """headers, repeated and empty ones too"""
    headers = (("a", b"1"), ("a", b"2"), ("empty", b""), ("größe", bytes(range(256))))
    round_trip(client, name, [Sent(b"v", b"k", headers), Sent(b"w", b"k")])


def produce_big_message(client: Client, name: str) -> None:
    """a message of 900 kB"""
    round_trip(client, name, [Sent(bytes(range(256)) * 3500, b"big"), Sent(b"small")])


def produce_too_large(client: Client, name: str) -> None:
    """a message above max.message.bytes is refused"""
    client.create_topic(name, configs={"max.message.bytes": "1000"})
    refused(ErrorCode.MESSAGE_TOO_LARGE, lambda: client.produce(name, [Sent(b"x" * 5000)]))
    assert client.produce(name, [Sent(b"fits")]) == [0]


def produce_in_order(client: Client, name: str) -> None:
    """20,000 records keep their order"""
    round_trip(client, name, numbered(20_000, size=16))


def produce_to_partitions(client: Client, name: str) -> None:
    """partitions chosen by the producer"""
    client.create_topic(name, partitions=5)
    for partition in range(5):
        assert client.produce(name, [Sent(b"%d" % partition, partition=partition)]) == [0]
    got = client.read(name, 5)
    assert {one.partition: one.value for one in got} == {number: b"%d" % number for number in range(5)}


def produce_by_key(client: Client, name: str) -> None:
    """one key, one partition, in order"""
    client.create_topic(name, partitions=4)
    client.produce(name, [Sent(b"%d" % number, b"key-%d" % (number % 7), partition=None) for number in range(140)])
    places: dict[bytes | None, list[Got]] = {}
    for one in sorted(client.read(name, 140), key=lambda one: one.place):
        places.setdefault(one.key, []).append(one)
    for got in places.values():
        assert len({one.partition for one in got}) == 1
        values = [int(one.value or b"") for one in got]
        assert values == sorted(values)


def produce_create_time(client: Client, name: str) -> None:
    """timestamps of the producer are kept"""
    got = round_trip(client, name, [Sent(b"a", timestamp=1_600_000_000_123), Sent(b"b", timestamp=1_500_000_000_456)])
    assert [one.timestamp for one in got] == [1_600_000_000_123, 1_500_000_000_456]


def produce_log_append_time(client: Client, name: str) -> None:
    """message.timestamp.type=LogAppendTime stamps the node's time"""
    client.create_topic(name, configs={"message.timestamp.type": "LogAppendTime"})
    client.produce(name, [Sent(b"a", timestamp=1_000_000_000_000)])
    assert client.read(name, 1)[0].timestamp > 1_600_000_000_000


def produce_future_timestamp(client: Client, name: str) -> None:
    """a timestamp too far in the future is refused"""
    client.create_topic(name)
    refused(ErrorCode.INVALID_TIMESTAMP, lambda: client.produce(name, [Sent(b"a", timestamp=4_000_000_000_000)]))


def produce_creates_topic(client: Client, name: str) -> None:
    """producing to a new topic creates it"""
    assert client.produce(name, [Sent(b"first")]) == [0]
    assert [one.value for one in client.read(name, 1)] == [b"first"]


def produce_keyless_to_compacted(client: Client, name: str) -> None:
    """a record without a key is refused on a compacted topic"""
    client.create_topic(name, configs={"cleanup.policy": "compact"})
    refused(ErrorCode.INVALID_RECORD, lambda: client.produce(name, [Sent(b"no key")]))
    assert client.produce(name, [Sent(b"v", b"k")]) == [0]


# -- consume


def consume_many_partitions(client: Client, name: str) -> None:
    """all partitions of a topic with 20"""
    client.create_topic(name, partitions=20)
    for partition in range(20):
        client.produce(name, numbered(20, partition=partition))
    got = client.read(name, 400)
    assert {one.place for one in got} == {(part, offset) for part in range(20) for offset in range(20)}


def consume_from_offset(client: Client, name: str) -> None:
    """seek to an offset inside a batch"""
    client.create_topic(name)
    client.produce(name, numbered(1000))
    assert [one.offset for one in client.read(name, 10, starts={0: 493})] == list(range(493, 503))


def consume_small_fetches(client: Client, name: str) -> None:
    """fetches smaller than a batch still move on"""
    client.create_topic(name)
    for _ in range(3):
        client.produce(name, numbered(100, size=400), codec="none")
    got = client.read(name, 300, options={"max_partition_bytes": 1000})
    assert [one.offset for one in got] == list(range(300))


def consume_read_committed(client: Client, name: str) -> None:
    """isolation read_committed on plain records"""
    client.create_topic(name)
    client.produce(name, numbered(50))
    assert len(client.read(name, 50, options={"read_committed": True})) == 50


def consume_out_of_range_earliest(client: Client, name: str) -> None:
    """an offset out of range goes to the earliest"""
    client.create_topic(name)
    client.produce(name, numbered(30))
    got = client.read(name, 30, starts={0: 5000}, options={"reset": "earliest"})
    assert [one.offset for one in got] == list(range(30))


def consume_by_time(client: Client, name: str) -> None:
    """offsets by timestamp"""
    client.create_topic(name, configs=FOR_EVER)
    start = 1_700_000_000_000
    client.produce(name, [Sent(b"%d" % number, timestamp=start + 1000 * number) for number in range(100)])
    assert client.offset_at(name, 0, start) == 0
    assert client.offset_at(name, 0, start + 41_500) == 42
    assert client.offset_at(name, 0, start + 99_000) == 99


def consume_after_last_time(client: Client, name: str) -> None:
    """a time after the last record has no offset"""
    client.create_topic(name, configs=FOR_EVER)
    client.produce(name, [Sent(b"v", timestamp=1_700_000_000_000)])
    assert client.offset_at(name, 0, 1_700_000_000_001) is None


def consume_watermarks(client: Client, name: str) -> None:
    """earliest and latest offsets"""
    client.create_topic(name)
    assert client.watermarks(name, 0) == (0, 0)
    client.produce(name, numbered(17))
    assert client.watermarks(name, 0) == (0, 17)


def consume_deleted_records(client: Client, name: str) -> None:
    """DeleteRecords raises the earliest offset"""
    client.create_topic(name)
    client.produce(name, numbered(100))
    client.delete_records(name, 0, 40)
    assert client.watermarks(name, 0) == (40, 100)
    assert [one.offset for one in client.read(name, 60)] == list(range(40, 100))


# -- groups


def settled(members: list[Member], partitions: int) -> Callable[[], bool]:
    """Whether the members hold all partitions, each once, none of them without any."""

    def probe() -> bool:
        held = [member.assignment() for member in members]
        return all(held) and sorted(part for one in held for part in one) == list(range(partitions))

    return probe


def group_reads_all(client: Client, name: str) -> None:
    """one member reads everything"""
    client.create_topic(name, partitions=3)
    for partition in range(3):
        client.produce(name, numbered(30, partition=partition))
    assert len({one.place for one in client.read_group(name, name, 90)}) == 90


def group_resumes(client: Client, name: str) -> None:
    """a group goes on at its committed offsets"""
    client.create_topic(name)
    client.produce(name, numbered(20))
    assert [one.offset for one in client.read_group(name, name, 20)] == list(range(20))
    client.produce(name, numbered(5))
    assert [one.offset for one in client.read_group(name, name, 5)] == list(range(20, 25))
    assert client.committed(name, name, 0) == 25


def _join_and_leave(client: Client, name: str, cooperative: bool) -> None:
    client.create_topic(name, partitions=4)
    first = client.member(name, name, cooperative=cooperative)
    members = [first]
    try:
        eventually("the first member holds all", settled([first], 4))
        second = client.member(name, name, cooperative=cooperative)
        members.append(second)
        eventually("two members share", settled([first, second], 4))
        for partition in range(4):
            client.produce(name, numbered(10, partition=partition))
        eventually("all is read", lambda: len({one.place for one in first.records() + second.records()}) == 40)
        second.close()
        members.remove(second)
        eventually("the first member has all again", settled([first], 4))
    finally:
        for member in members:
            member.close()


def group_rebalances(client: Client, name: str) -> None:
    """members share partitions, one joins and leaves"""
    _join_and_leave(client, name, cooperative=False)


def group_rebalances_cooperatively(client: Client, name: str) -> None:
    """the same with cooperative rebalancing"""
    _join_and_leave(client, name, cooperative=True)


def group_static_member(client: Client, name: str) -> None:
    """a static member comes back to the same partitions"""
    client.create_topic(name, partitions=4)
    first = client.member(name, name, instance_id="one", timeout_ms=30_000)
    # Joining at the same moment, kafka-python sometimes keeps waiting after its SyncGroup was answered.
    eventually("the first member holds all", settled([first], 4))
    second = client.member(name, name, instance_id="two", timeout_ms=30_000)
    members = [first, second]
    try:
        eventually("both hold partitions", settled([first, second], 4))
        held = second.assignment()
        second.close()
        members.remove(second)
        back = client.member(name, name, instance_id="two", timeout_ms=30_000)
        members.append(back)
        eventually("the static member is back", lambda: back.assignment() == held)
    finally:
        for member in members:
            member.close()


def group_commit_without_joining(client: Client, name: str) -> None:
    """offsets committed without joining"""
    client.create_topic(name, partitions=2)
    assert client.committed(name, name, 0) is None
    client.commit(name, name, 0, 12)
    assert client.committed(name, name, 0) == 12
    assert client.committed(name, name, 1) is None


def group_commit_unknown_topic(client: Client, name: str) -> None:
    """a commit for a topic that is not there is refused"""
    refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, lambda: client.commit(name, name, 0, 1))


def group_listed_and_described(client: Client, name: str) -> None:
    """groups are listed and described"""
    client.create_topic(name)
    member = client.member(name, name)
    try:
        eventually("the member holds the partition", settled([member], 1))
        assert name in client.groups()
        assert client.group_state(name) == ("Stable", 1)
    finally:
        member.close()
    eventually("the group is empty", lambda: client.group_state(name) == ("Empty", 0))


def group_deleted(client: Client, name: str) -> None:
    """a group is deleted with its offsets"""
    client.create_topic(name)
    client.commit(name, name, 0, 3)
    client.delete_group(name)
    assert name not in client.groups()
    assert client.committed(name, name, 0) is None


def group_in_use_not_deleted(client: Client, name: str) -> None:
    """a group with members is not deleted"""
    client.create_topic(name)
    member = client.member(name, name)
    try:
        eventually("the member holds the partition", settled([member], 1))
        refused(ErrorCode.NON_EMPTY_GROUP, lambda: client.delete_group(name))
    finally:
        member.close()


# -- admin


def admin_create_and_delete(client: Client, name: str) -> None:
    """topics are created, listed, deleted"""
    client.create_topic(name, partitions=3)
    assert client.topics()[name] == 3
    client.delete_topic(name)
    eventually("the topic is gone", lambda: name not in client.topics())


def admin_recreate(client: Client, name: str) -> None:
    """a topic created again is empty"""
    client.create_topic(name)
    client.produce(name, numbered(10))
    client.delete_topic(name)
    eventually("the topic is gone", lambda: name not in client.topics())
    client.create_topic(name)
    assert client.watermarks(name, 0) == (0, 0)
    assert client.produce(name, [Sent(b"new")])[0] == 0


def admin_create_twice(client: Client, name: str) -> None:
    """a topic that exists is not created again"""
    client.create_topic(name)
    refused(ErrorCode.TOPIC_ALREADY_EXISTS, lambda: client.create_topic(name))


def admin_bad_name(client: Client, name: str) -> None:
    """a bad topic name is refused"""
    refused(ErrorCode.INVALID_TOPIC_EXCEPTION, lambda: client.create_topic("not a name!"))


def admin_bad_config(client: Client, name: str) -> None:
    """an unknown or bad config is refused"""
    refused(ErrorCode.INVALID_CONFIG, lambda: client.create_topic(name, configs={"no.such.config": "1"}))
    refused(ErrorCode.INVALID_CONFIG, lambda: client.create_topic(name, configs={"retention.ms": "soon"}))


def admin_delete_unknown(client: Client, name: str) -> None:
    """deleting a topic that is not there is refused"""
    refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, lambda: client.delete_topic(name))


def admin_add_partitions(client: Client, name: str) -> None:
    """a topic gets more partitions"""
    client.create_topic(name, partitions=1)
    client.add_partitions(name, 4)
    eventually("the partitions are there", lambda: client.topics()[name] == 4)
    assert client.produce(name, [Sent(b"v", partition=3)]) == [0]


def admin_fewer_partitions(client: Client, name: str) -> None:
    """a topic does not lose partitions"""
    client.create_topic(name, partitions=3)
    refused(ErrorCode.INVALID_PARTITIONS, lambda: client.add_partitions(name, 2))


def admin_topic_configs(client: Client, name: str) -> None:
    """topic configs are described and altered"""
    client.create_topic(name, configs={"retention.ms": "3600000"})
    configs = client.topic_config(name)
    assert configs["retention.ms"] == "3600000"
    assert configs["cleanup.policy"] == "delete"
    client.set_topic_config(name, {"max.message.bytes": "2000"})
    known(client, "a config is altered", lambda: client.topic_config(name)["max.message.bytes"] == "2000")
    assert client.topic_config(name)["retention.ms"] == "3600000"


def admin_broker_configs(client: Client, name: str) -> None:
    """broker configs are described"""
    configs = client.broker_config()
    assert {"num.partitions", "message.max.bytes", "log.retention.ms"} <= set(configs)


def admin_nodes(client: Client, name: str) -> None:
    """the cluster's nodes are described"""
    assert client.nodes() == client.node_count


# -- transactions


def transact(producer: Transactional, topic: str, values: list[bytes], *, commit: bool = True, over: int = 1) -> None:
    """One transaction, its values one after the other over so many partitions."""
    producer.begin()
    producer.send(topic, [Sent(value, partition=number % over) for number, value in enumerate(values)])
    if commit:
        producer.commit()
    else:
        producer.abort()


def named(name: str, count: int) -> list[bytes]:
    return [f"{name}-{number}".encode() for number in range(count)]


def read_committed(client: Client, topic: str, count: int) -> list[bytes | None]:
    """The first values that readers of what is committed get, in the order of each partition."""
    got = client.read(topic, count, options={"read_committed": True})
    return [one.value for one in sorted(got, key=lambda one: one.place)]


def transaction_commits_and_aborts(client: Client, name: str) -> None:
    """what is committed is read, what is aborted is not"""
    client.create_topic(name)
    producer = client.transactional(name)
    try:
        for number in range(6):
            transact(producer, name, named(f"{number}", 10), commit=number % 3 != 1)
    finally:
        producer.close()
    whole = [value for number in range(6) for value in named(f"{number}", 10)]
    assert read_committed(client, name, 40) == [value for value in whole if value[:1] not in (b"1", b"4")]
    assert [one.value for one in client.read(name, 60)] == whole


def transaction_over_partitions(client: Client, name: str) -> None:
    """one transaction over 12 partitions"""
    client.create_topic(name, partitions=12)
    producer = client.transactional(name)
    try:
        transact(producer, name, named("a", 24), over=12)
        transact(producer, name, named("b", 24), commit=False, over=12)
        transact(producer, name, named("c", 24), over=12)
    finally:
        producer.close()
    assert sorted(read_committed(client, name, 48)) == sorted(named("a", 24) + named("c", 24))


def transaction_open_is_not_read(client: Client, name: str) -> None:
    """an open transaction holds readers back in its own partition alone"""
    client.create_topic(name, partitions=2)
    producer = client.transactional(name)
    try:
        producer.begin()
        producer.send(name, [Sent(b"open")])
        client.produce(name, [Sent(b"behind")])
        client.produce(name, [Sent(b"beside", partition=1)])
        assert read_committed(client, name, 1) == [b"beside"]
        producer.commit()
    finally:
        producer.close()
    assert read_committed(client, name, 3) == [b"open", b"behind", b"beside"]


def transaction_with_offsets(client: Client, name: str) -> None:
    """consume, transform, produce: offsets count with what was made of them, or not at all"""
    target = f"{name}.out"
    client.create_topic(name)
    client.create_topic(target)
    client.produce(name, [Sent(value) for value in named("in", 15)])
    producer = client.transactional(name)
    try:
        for commit, first in ((False, 0), (True, 0), (False, 5), (True, 5), (True, 10)):
            got = client.transform(producer, name, target, name, 5, commit=commit)
            assert [one.offset for one in got] == list(range(first, first + 5))
            after = first + 5 if commit else first or None
            eventually("the offset is settled", lambda after=after: client.committed(name, name, 0) == after)
    finally:
        producer.close()
    assert read_committed(client, target, 15) == named("in", 15)


def transaction_zombie(client: Client, name: str) -> None:
    """a new instance fences the one before, and aborts what that one left open"""
    client.create_topic(name)
    zombie = client.transactional(name)
    try:
        zombie.begin()
        zombie.send(name, [Sent(b"zombie")])
        living = client.transactional(name)
        try:
            refused(ErrorCode.PRODUCER_FENCED, zombie.commit)
            transact(living, name, [b"living"])
        finally:
            living.close()
    finally:
        zombie.close()
    assert read_committed(client, name, 1) == [b"living"]


def transaction_times_out(client: Client, name: str) -> None:
    """a transaction that takes longer than transaction.timeout.ms is aborted"""
    client.create_topic(name)
    slow = client.transactional(name, timeout_ms=1_000)
    try:
        slow.begin()
        slow.send(name, [Sent(b"slow")])
        client.produce(name, [Sent(b"after")])
        assert read_committed(client, name, 1) == [b"after"]
        refused(ErrorCode.PRODUCER_FENCED, slow.commit)
    finally:
        slow.close()
    again = client.transactional(name)
    try:
        transact(again, name, [b"again"])
    finally:
        again.close()
    assert read_committed(client, name, 2) == [b"after", b"again"]


def transaction_timeout_too_long(client: Client, name: str) -> None:
    """a transaction.timeout.ms above transaction.max.timeout.ms is refused"""
    refused(ErrorCode.INVALID_TRANSACTION_TIMEOUT, lambda: client.transactional(name, timeout_ms=10_000_000))


KINDS = ("produce", "consume", "group", "admin", "transaction")
"""The groups of cases: how their names begin."""

CASES: dict[str, Callable[[Client, str], None]] = {
    name: case
    for name, case in list(globals().items())
    if callable(case) and name.partition("_")[0] in KINDS and case.__doc__
}
