"""What this node turned away: nothing of the producer goes before it comes again."""

from infra.errors import Unavailable
from infra.records.batch import BatchHeader
from ingest.turned_away import KEEP_SECONDS, TurnedAway
from tests.ingest.batches import header_of, make_batch
from tests.ingest.logs import partition_id

_HERE, _ELSEWHERE = partition_id(0), partition_id(1)


def header(sequence: int, *, epoch: int = 0, producer_id: int = 7) -> BatchHeader:
    return header_of(make_batch(producer_id=producer_id, epoch=epoch, sequence=0))._replace(base_sequence=sequence)


def blocked(turned_away: TurnedAway, one: BatchHeader, now: float = 0.0) -> bool:
    try:
        turned_away.check(_HERE, [one], now)
    except Unavailable:
        return True
    return False


def test_what_lies_behind_waits_until_the_first_came() -> None:
    turned_away = TurnedAway()
    for sequence in (3, 4, 3):  # the second was under way behind the first; the first came again too early
        turned_away.note(_HERE, [header(sequence)], 0.0)
    assert [blocked(turned_away, header(sequence)) for sequence in (2, 3, 4, 5)] == [False, False, True, True]
    turned_away.came(_HERE, [header(2)])
    assert blocked(turned_away, header(4))
    turned_away.came(_HERE, [header(3)])
    assert not blocked(turned_away, header(4))


def test_others_go_on() -> None:
    turned_away = TurnedAway()
    turned_away.note(_HERE, [header(3)], 0.0)
    turned_away.note(_ELSEWHERE, [header(1)], 0.0)
    assert not blocked(turned_away, header(9, producer_id=8))
    assert not blocked(turned_away, header(9, epoch=1)), "a new epoch begins anew"
    turned_away.came(_ELSEWHERE, [header(1)])
    assert blocked(turned_away, header(4))


def test_a_new_epoch_replaces_the_one_before_and_not_the_other_way_round() -> None:
    turned_away = TurnedAway()
    turned_away.note(_HERE, [header(3)], 0.0)
    turned_away.note(_HERE, [header(0, epoch=1)], 0.0)
    turned_away.note(_HERE, [header(5)], 0.0)
    assert not blocked(turned_away, header(6))
    assert blocked(turned_away, header(1, epoch=1))


def test_sequences_that_begin_anew_are_behind() -> None:
    turned_away = TurnedAway()
    turned_away.note(_HERE, [header((1 << 31) - 1)], 0.0)
    assert blocked(turned_away, header(0))


def test_it_does_not_wait_for_ever() -> None:
    turned_away = TurnedAway()
    turned_away.note(_HERE, [header(3)], 0.0)
    assert blocked(turned_away, header(4), KEEP_SECONDS - 1)
    turned_away.note(_HERE, [header(4)], KEEP_SECONDS - 1)  # behind it, and refused for it: the first is waited for on
    assert blocked(turned_away, header(5), KEEP_SECONDS + 1)
    assert not blocked(turned_away, header(5), 3 * KEEP_SECONDS)
    turned_away.note(_ELSEWHERE, [header(0)], 3 * KEEP_SECONDS)
    assert len(turned_away) == 1


def test_who_has_no_sequence_is_not_waited_for() -> None:
    turned_away = TurnedAway()
    turned_away.note(_HERE, [header(-1)], 0.0)
    assert len(turned_away) == 0
