"""Transactions as a reader node knows them: as its leader says of every range of offsets, wherever the tail begins."""

import random

import pytest

from infra.cluster.manifest import Manifest
from infra.ports import EpochStart
from ingest.partition_log import PartitionLog
from reader.followed_log import FollowedLog
from tests.ingest.logs import EPOCH, open_log
from tests.ingest.test_log_transactions import aborted, end, produce, publish, sync

EPOCHS = [EpochStart(EPOCH, 0)]


def follow(log: PartitionLog) -> FollowedLog:
    return FollowedLog(log.partition, EPOCHS, Manifest(), log.published())


def catch_up(follower: FollowedLog, log: PartitionLog, max_bytes: int = 1 << 20) -> bool:
    """One fetch of what lies below the leader's high watermark."""
    batches = log.read_tail(follower.next_offset, max_bytes, log.high_watermark, True)
    return follower.take(log.high_watermark, log.last_stable_offset, 0, memoryview(b"".join(batches)))


def told(follower: FollowedLog, offset: int, upto: int) -> list[tuple[int, int, int]]:
    return [(one.producer_id, one.first_offset, one.last_offset) for one in follower.aborted_between(offset, upto)]


@pytest.mark.parametrize("seed", range(8))
def test_a_follower_says_what_its_leader_says(seed: int) -> None:
    chance = random.Random(seed)
    log = open_log("wal")
    sequences: dict[int, int] = {}
    followers = [follow(log)]
    for step in range(60):
        producer = chance.randint(1, 3)
        if chance.random() < 0.6:
            produce(log, sequences.get(producer, 0), producer_id=producer)
            sequences[producer] = sequences.get(producer, 0) + 1
        else:
            end(log, chance.random() < 0.4, producer_id=producer)
        if chance.random() < 0.3:
            sync(log)
        if chance.random() < 0.2:
            publish(log)
            for follower in followers:
                if chance.random() < 0.7 and follower.fits(Manifest(), log.published()):
                    follower.take_history(Manifest(), log.published())
                    follower.trim(chance.choice([0, 2_000]))
        if step % 15 == 7:
            followers.append(follow(log))
        for follower in followers:
            assert catch_up(follower, log, chance.choice([100, 1 << 20]))
            stable = follower.last_stable_offset
            assert stable <= min(log.last_stable_offset, follower.high_watermark)
            for offset in range(0, stable, 5):
                for upto in range(offset + 1, stable + 1, 7):
                    assert told(follower, offset, upto) == aborted(log, offset, upto)


def test_a_tail_cut_within_a_transaction_is_followed_anew() -> None:
    log = open_log("wal")
    produce(log, 0)
    publish(log)
    end(log, True)
    produce(log, 1)
    sync(log)
    follower = follow(log)
    assert catch_up(follower, log)
    assert follower.last_stable_offset == 2
    lossy = open_log("wal")
    produce(lossy, 0)
    publish(lossy)
    follower.follow([*EPOCHS, EpochStart(EPOCH + 1, 1)])
    assert not follower.heard
    assert follower.last_stable_offset == 0
    assert not follower.take(1, 0, 0, memoryview(b"")), "which transactions are open is not known"
    follower.restart(Manifest(), lossy.published())
    assert follower.take(1, 0, 0, memoryview(b""))
    assert follower.heard
    end(lossy, False)
    sync(lossy)
    assert catch_up(follower, lossy)
    assert told(follower, 0, 1) == [(7, 0, 1)]


def test_a_tail_cut_outside_of_transactions_goes_on() -> None:
    log = open_log("wal")
    produce(log, 0)
    end(log, False)
    sync(log)
    follower = follow(log)
    assert catch_up(follower, log)
    follower.follow([*EPOCHS, EpochStart(EPOCH + 1, 2)])
    assert follower.heard
    assert told(follower, 0, 1) == [(7, 0, 1)]
