"""Histories on disk: what is written is read, and a writer that died in the middle of a line costs that line alone."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checker.history import HistoryWriter, Operation, Poll, Send, decode, encode, read_history, write_history

_partitions = st.tuples(st.text(max_size=5), st.integers(0, 9))
_transactions = st.one_of(st.tuples(st.none(), st.none()), st.tuples(st.text(), st.sampled_from([None, True, False])))
_seconds = st.floats(0, 1e6)
_operations = st.builds(
    lambda process, index, kind, status, sends, polls, ending, began, lasted, repositioned: Operation(
        process,
        index,
        kind,
        status,
        tuple(sends),
        tuple(polls),
        ending[0],
        ending[1],
        began,
        began + lasted,
        tuple(repositioned),
    ),
    st.integers(0, 9),
    st.integers(0),
    st.sampled_from(["send", "poll", "subscribe", "assign", "commit", "crash"]),
    st.sampled_from(["ok", "info"]),
    st.lists(st.builds(Send, _partitions, st.integers(), st.one_of(st.none(), st.integers(0))), max_size=3),
    st.lists(st.builds(Poll, _partitions, st.integers(0), st.integers()), max_size=3),
    _transactions,
    _seconds,
    _seconds,
    st.lists(_partitions, max_size=2),
)
_SENT = Operation(0, 0, "send", "ok", (Send(("orders", 0), 1, 0),))
_POLLED = Operation(1, 0, "poll", "ok", polls=(Poll(("orders", 0), 0, 1),))


@settings(max_examples=50, deadline=None)
@given(_operations)
def test_decodes_what_it_encodes(operation: Operation) -> None:
    assert decode(encode(operation)) == operation


@pytest.mark.parametrize("torn", [b'{"process":0,"ind', encode(_POLLED).encode()])
def test_skips_a_torn_last_line_and_cuts_it_off_before_writing_on(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "history.jsonl"
    write_history(path, [_SENT])
    with path.open("ab") as file:
        file.write(torn)

    assert read_history(path) == [_SENT]
    with HistoryWriter(path) as writer:
        writer.write(_POLLED)
    assert read_history(path) == [_SENT, _POLLED]


@pytest.mark.parametrize("line", ["nonsense", "{}", "3", encode(_SENT).replace("send", "sing")])
def test_names_the_line_that_is_no_operation(tmp_path: Path, line: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(f"{encode(_SENT)}\n{line}\n{encode(_POLLED)}\n")

    with pytest.raises(ValueError, match="line 2"):
        read_history(path)


def test_refuses_operations_that_contradict_themselves() -> None:
    with pytest.raises(ValueError, match="acknowledged"):
        Operation(0, 0, "send", "fail", (Send(("orders", 0), 1, 0),))
    with pytest.raises(ValueError, match="before it began"):
        Operation(0, 0, "poll", "ok", began=2.0, ended=1.0)
    with pytest.raises(ValueError, match="without a transaction"):
        Operation(0, 0, "commit", "ok", committed=True)
