from tests.apps.quix.model import Line, Number, compare, expected

LINES = [Line("a", 1, 1, 5), Line("b", 2, 1, 7), Line("a", 3, 2, 4)]


def test_counts_and_sums_by_key() -> None:
    assert expected([Number("a", 1, 5), Number("b", 2, 7), Number("a", 3, -1)]) == LINES


def test_the_same_lines_are_right() -> None:
    assert not list(compare({0: LINES, 1: []}, {0: LINES}))


def test_a_line_that_is_there_twice_or_missing_or_elsewhere_is_wrong() -> None:
    assert len(list(compare({0: LINES}, {0: [LINES[0], *LINES]}))) == 1
    assert len(list(compare({0: LINES}, {0: [*LINES, LINES[-1]]}))) == 1
    assert len(list(compare({0: LINES}, {0: LINES[:-1]}))) == 1
    assert len(list(compare({0: LINES}, {1: LINES}))) == 2
    assert len(list(compare({0: LINES}, {0: [*LINES[:-1], Line("a", 3, 2, 9)]}))) == 1
