"""`python -m tests.checker FILE…`: the findings of a history (all files together are one), with their counts.

Exits 1 where there is any finding.
"""

import argparse
import gc
import sys
from collections import Counter
from pathlib import Path

from tests.checker.check import check
from tests.checker.history import read_history


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.checker", description="Check the history of real clients.")
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="JSON lines, as tests/checker/history.py has"
    )
    parser.add_argument("--cut-off", action="store_true", help="the history does not end by reading everything")
    parser.add_argument("--isolated", action="store_true", help="nobody may write between two records of an operation")
    parser.add_argument("--most", type=int, default=10, metavar="N", help="how many findings of a kind to print")
    options = parser.parse_args(arguments)
    history = [operation for path in options.files for operation in read_history(path)]
    findings = check(history, read_to_end=not options.cut_off, interleaved=not options.isolated)
    counts: Counter[str] = Counter()
    for kind, sentence in findings:
        counts[kind] += 1
        if counts[kind] <= options.most:
            print(f"{kind}: {sentence}")
    sends = sum(len(operation.sends) for operation in history)
    polls = sum(len(operation.polls) for operation in history)
    print(f"{len(history)} operations, {sends} values sent, {polls} polled: {len(findings)} findings")
    for kind, count in counts.most_common():
        print(f"  {count} {kind}")
    return 1 if findings else 0


if __name__ == "__main__":
    gc.disable()  # millions of operations, none of them garbage, are not worth walking through again and again
    sys.exit(main())
