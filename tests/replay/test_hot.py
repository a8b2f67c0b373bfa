"""What is kept of a leader's answer: committed records, whole batches, and where the next answer begins."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from infra.records.control import Marker, encode_marker
from infra.records.decode_columns import decode_columns
from infra.records.encode import encode_batch
from infra.wire.messages.fetch import AbortedTransaction
from reader.replay.hot import committed
from tests.replay.world import record

STEPS = st.lists(
    st.tuples(st.sampled_from(["plain", "transactional", "commit", "abort"]), st.integers(1, 3), st.integers(1, 3)),
    max_size=14,
)


def _log(steps: Sequence[tuple[str, int, int]]) -> tuple[bytes, list[AbortedTransaction], list[int], int]:
    """A log of batches by three producers: its bytes, what Fetch would list as aborted, committed offsets, its end."""
    log, offset = bytearray(), 0
    open_: dict[int, list[int]] = {}
    aborted, visible = [], []
    for kind, producer, count in [*steps, *(("abort", producer, 1) for producer in (1, 2, 3))]:
        if kind in ("plain", "transactional"):
            offsets = list(range(offset, offset + count))
            batch = encode_batch(
                [record(at) for at in offsets],
                producer_id=producer,
                producer_epoch=0,
                base_sequence=0,
                transactional=kind == "transactional",
            )
            if kind == "plain":
                visible += offsets
            else:
                open_.setdefault(producer, []).extend(offsets)
        elif producer not in open_:
            continue
        else:
            count = 1
            batch = encode_marker(Marker(producer, 0, 0, commit=kind == "commit"), 0)
            batch[:8] = offset.to_bytes(8, "big")
            offsets = open_.pop(producer)
            if kind == "commit":
                visible += offsets
            else:
                aborted.append(AbortedTransaction(producer_id=producer, first_offset=offsets[0]))
        log += batch
        offset += count
    return bytes(log), aborted, sorted(visible), offset


@given(STEPS)
def test_aborted_transactions_are_left_out(steps: list[tuple[str, int, int]]) -> None:
    log, aborted, visible, end = _log(steps)
    fetched = committed(memoryview(log), aborted, 0)
    found = decode_columns(fetched.batches)["offset"].to_pylist() if fetched.batches else []
    assert (found, fetched.next_offset) == (visible, end)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.integers(0, 300))
def test_a_batch_that_is_cut_off_is_left_for_the_next_answer(counts: list[int], cut: int) -> None:
    batches, offset = [], 0
    for count in counts:
        batches.append(bytes(encode_batch([record(offset + at) for at in range(count)])))
        offset += count
    whole = b"".join(batches)
    upto = max(len(batches[0]), len(whole) - cut)
    fetched = committed(memoryview(whole)[:upto], [], 0)
    assert b"".join(fetched.batches) == whole[: sum(map(len, fetched.batches))]
    assert fetched.next_offset == sum(counts[: len(fetched.batches)])
    assert len(fetched.batches) == len(batches) or sum(map(len, batches[: len(fetched.batches) + 1])) > upto
