"""Framing: however the stream is cut, the same frames come out, each with bytes of its own."""

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from infra.limits import RECEIVE_BUFFER_BYTES, SMALL_FRAME_BYTES
from infra.wire.buffer_pool import BufferPool
from infra.wire.frame import FrameReceiver

MAX_FRAME_BYTES = 4 * SMALL_FRAME_BYTES


def receiver() -> FrameReceiver:
    return FrameReceiver(BufferPool(), memoryview(bytearray(RECEIVE_BUFFER_BYTES)), MAX_FRAME_BYTES)


def feed(frames: FrameReceiver, stream: bytes, steps: list[int]) -> list[memoryview]:
    """Give the stream in pieces of the sizes in `steps` (over and over), as a socket would."""
    out: list[memoryview] = []
    position = 0
    turn = 0
    while position < len(stream):
        target = frames.target()
        count = min(steps[turn % len(steps)], len(target), len(stream) - position)
        turn += 1
        target[:count] = stream[position : position + count]
        position += count
        out += frames.received(count)
    return out


def framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


sizes = st.one_of(
    st.integers(1, 200), st.sampled_from([SMALL_FRAME_BYTES - 1, SMALL_FRAME_BYTES, SMALL_FRAME_BYTES + 1, 100_000])
)


@given(st.lists(sizes, max_size=6), st.lists(st.sampled_from([1, 2, 3, 5, 4096, 70_000, 200_000]), min_size=1))
@example([1, 1, 1], [1])
@example([100_000, 5, 100_000], [200_000])
def test_any_cut_of_the_stream_gives_the_same_frames(lengths: list[int], steps: list[int]) -> None:
    bodies = [bytes([index + 1]) * length for index, length in enumerate(lengths)]
    if sum(lengths) > 50_000:
        steps = [max(step, 4096) for step in steps]
    frames = receiver()
    out = feed(frames, b"".join(map(framed, bodies)), steps)
    assert [bytes(frame) for frame in out] == bodies
    assert frames.failure is None
    assert frames.partial_bytes == 0
    assert all(not frame.readonly for frame in out)


def test_a_bad_length_ends_the_stream_after_the_frames_before_it() -> None:
    for length in (-1, 0, MAX_FRAME_BYTES + 1, -(2**31), 0x47455420):  # the last one is "GET "
        frames = receiver()
        out = feed(frames, framed(b"good") + struct.pack(">i", length) + framed(b"never seen"), [200_000])
        assert [bytes(frame) for frame in out] == [b"good"]
        assert frames.failure is not None
        assert str(length) in frames.failure


def test_half_a_frame_is_counted_as_partial() -> None:
    frames = receiver()
    assert feed(frames, b"\0\0", [2]) == []
    assert frames.partial_bytes == 2
    assert feed(frames, b"\0\x05abc", [5]) == []
    assert frames.partial_bytes == 3


def test_a_large_frame_is_received_straight_into_a_pooled_buffer() -> None:
    frames = receiver()
    stream = framed(b"x" * 200_000)
    shared = frames.target()
    shared[:1000] = stream[:1000]
    assert frames.received(1000) == []
    target = frames.target()
    assert len(target) == 200_000 - (1000 - 4)
    assert target.obj is not shared.obj
