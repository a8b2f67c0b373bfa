"""Buffers serve again exactly when nobody views them, within a bound of bytes."""

import psutil
import pytest

from infra.limits import SMALL_FRAME_BYTES
from infra.wire.buffer_pool import BufferPool

MIB = 1024 * 1024


def test_a_buffer_serves_again_once_no_view_is_left() -> None:
    pool = BufferPool()
    view = pool.take(5 * MIB)
    first = id(view.obj)
    part = view[100:200]
    del view
    assert id(pool.take(5 * MIB).obj) != first, "a part of the frame is still viewed"
    del part
    again = {id(pool.take(5 * MIB).obj) for _ in range(4)}
    assert first in again
    assert pool.made == 2


def test_views_are_writable_and_have_the_length_asked_for() -> None:
    pool = BufferPool()
    for length in (1, SMALL_FRAME_BYTES, SMALL_FRAME_BYTES + 1, 1_000_003):
        view = pool.take(length)
        assert len(view) == length
        view[length - 1] = 7


def test_no_two_views_at_once_share_bytes() -> None:
    pool = BufferPool()
    views = [pool.take(100_000) for _ in range(20)]
    assert len({id(view.obj) for view in views}) == 20


@pytest.mark.parametrize("keep", [True, False])
def test_the_pool_stays_within_its_bytes(keep: bool) -> None:
    pool = BufferPool(max_bytes=8 * MIB)
    kept = []
    for turn in range(100):
        view = pool.take(MIB + turn % 7 * 200_000)
        if keep:
            kept.append(view)
        assert pool.bytes_kept <= 8 * MIB


def test_very_large_buffers_are_not_kept() -> None:
    pool = BufferPool(max_bytes=1024 * MIB)
    pool.take(90 * MIB)
    assert pool.bytes_kept == 0


def test_a_tail_that_lets_go_in_order_of_age_is_served_from_the_pool() -> None:
    pool = BufferPool(max_bytes=64 * MIB)
    tail: list[memoryview] = []
    for _ in range(400):
        tail.append(pool.take(MIB))
        if len(tail) > 24:
            tail.pop(0)
    assert pool.reused > 300


def test_a_length_that_is_only_claimed_takes_no_memory() -> None:
    process = psutil.Process()
    pool = BufferPool()
    before = process.memory_info().rss
    views = [pool.take(length) for length in (90 << 20, 15 << 20, 1 << 20) for _ in range(20)]
    for view in views:
        view[:100] = bytes(100)
    assert process.memory_info().rss - before < 200 << 20, "of more than 2 GB claimed"
