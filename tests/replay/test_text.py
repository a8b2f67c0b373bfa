"""What is text and what is not: as Python's own decoder has it."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reader.replay.text import split_text

BYTES = st.one_of(
    st.none(),
    st.binary(max_size=12),
    st.text(max_size=6).map(str.encode),
    st.lists(
        st.sampled_from([0x41, 0x80, 0xBF, 0xC2, 0xE0, 0xA0, 0xED, 0x9F, 0xF0, 0x90, 0xF4, 0x8F, 0x0A]), max_size=6
    ).map(bytes),
)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.lists(BYTES, max_size=8))
def test_each_value_stands_in_one_of_two_columns(values: list[bytes | None]) -> None:
    texts, others = split_text(pa.array(values, pa.binary()))
    for value, text, other in zip(values, texts.to_pylist(), others.to_pylist(), strict=True):
        if value is None:
            assert (text, other) == (None, None)
        elif _is_text(value):
            assert (text, other) == (value.decode(), None)
        else:
            assert (text, other) == (None, value)
