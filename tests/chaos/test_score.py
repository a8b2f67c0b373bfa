"""What was acknowledged without an offset must be read all the same."""

from pathlib import Path

from tests.chaos.score import Diary, Score
from tests.checker.history import Operation, Poll

_HERE, _THERE = ("topic", 0), ("topic", 1)


def test_values_without_an_offset_must_be_read_in_their_partition(tmp_path: Path) -> None:
    score = Score(tmp_path / "history.jsonl", seed=1)
    diary = Diary(score)
    assert score.place(_HERE, 1, 7) == 7
    for value in (2, 3, 4):
        assert score.place(_HERE, value, None) is None
    assert score.place(_THERE, 5, None) is None
    polls = (Poll(_HERE, 8, 2), Poll(_THERE, 0, 3))
    diary.write(Operation(diary.process, diary.next_index(), "poll", "ok", polls=polls))

    score.check_unplaced([_HERE])
    score.close()
    assert [sentence.split()[0] for sentence in score.wrong] == ["3", "4"]
    assert score.counts["acknowledged without an offset"] == 4
