"""What each request about one transactional id should come to, told a second time: as a table over the log's last word.

Shares nothing with the machine but error codes: states are words, and a record is a plain dictionary.
"""

from typing import Any

from infra.error_code import ErrorCode

Words = dict[str, Any]  # pid, epoch, before (pid, epoch) or None, state, parts, timeout, since, at

OK, FENCED, OTHER = ErrorCode.NONE, ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_ID_MAPPING
CONCURRENT, WRONG = ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.INVALID_TXN_STATE
REST = ("empty", "committed", "aborted")

END = {  # (what the log says, what is asked) → (answer, what the log says then)
    ("empty", "commit"): (WRONG, None),
    ("empty", "abort"): (WRONG, None),
    ("ongoing", "commit"): (OK, "committing"),
    ("ongoing", "abort"): (OK, "aborting"),
    ("committing", "commit"): (CONCURRENT, None),
    ("committing", "abort"): (WRONG, None),
    ("aborting", "commit"): (WRONG, None),
    ("aborting", "abort"): (CONCURRENT, None),
    ("committed", "commit"): (OK, None),
    ("committed", "abort"): (WRONG, None),
    ("aborted", "commit"): (WRONG, None),
    ("aborted", "abort"): (OK, None),
}


def identity(last: Words, who: tuple[int, int]) -> ErrorCode:
    if who[0] != last["pid"]:
        return OTHER
    return OK if who[1] == last["epoch"] else FENCED


def end(last: Words, busy: bool, who: tuple[int, int], what: str, now: int) -> tuple[ErrorCode, Words | None]:
    wrong = identity(last, who)
    if wrong != OK or busy:
        return wrong or CONCURRENT, None
    answer, state = END[last["state"], what]
    return answer, None if state is None else {**last, "state": state, "at": now}


def add(
    last: Words, busy: bool, who: tuple[int, int], parts: set[tuple[str, int]], now: int
) -> tuple[ErrorCode, Words | None]:
    wrong = identity(last, who)
    if wrong != OK or busy or last["state"] in ("committing", "aborting"):
        return wrong or CONCURRENT, None
    if last["state"] == "ongoing":
        both = last["parts"] | parts
        return OK, None if both == last["parts"] else {**last, "parts": both, "at": now}
    return OK, {**last, "state": "ongoing", "parts": set(parts), "since": now, "at": now}


def init(
    last: Words, busy: bool, expected: tuple[int, int] | None, fresh: int, timeout: int, now: int
) -> tuple[ErrorCode, Words | None]:
    unborn, repeated = last["epoch"] == -1, expected is not None and expected == last["before"]
    if busy:
        return CONCURRENT, None
    if expected is not None and not unborn and not repeated and expected != (last["pid"], last["epoch"]):
        return FENCED, None
    if last["state"] in ("committing", "aborting"):
        return CONCURRENT, None
    if last["state"] == "ongoing":
        return CONCURRENT, {**last, "state": "aborting", "epoch": last["epoch"] + 1, "before": None, "at": now}
    told = {"state": "empty", "parts": set(), "since": -1, "timeout": timeout, "at": now}
    if repeated:
        return OK, {**last, **told}
    before = None if expected is None or unborn else (last["pid"], last["epoch"])
    pid, epoch = (fresh, 0) if last["epoch"] >= 32_766 else (last["pid"], last["epoch"] + 1)
    return OK, {**last, **told, "pid": pid, "epoch": epoch, "before": before}


def verify(last: Words, who: tuple[int, int], part: tuple[str, int]) -> ErrorCode:
    wrong = identity(last, who)
    if wrong != OK:
        return wrong
    if last["state"] in ("committing", "aborting"):
        return CONCURRENT
    return OK if part in last["parts"] else ErrorCode.TRANSACTION_ABORTABLE
