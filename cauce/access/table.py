"""The table of all checks: API key → what its client needs and how it is checked.

What is not in here cannot be offered with an authorizer: making the guard of its handler fails. The table in
docs/authorization.md is made by `python -m cauce.access.table`.
"""

from collections.abc import Mapping

from cauce.access import cluster, groups, records, topics, transactions
from cauce.access.check import Check
from infra.wire.apis import API_NAMES

CHECKS: Mapping[int, Check] = {
    check.api_key: check
    for check in (*records.CHECKS, *groups.CHECKS, *transactions.CHECKS, *topics.CHECKS, *cluster.CHECKS)
}


def table_markdown() -> str:
    """As users read it."""
    rows = [
        f"| {API_NAMES[key].title().replace('_', '')} ({key}) | {check.needs} |"
        for key, check in sorted(CHECKS.items())
    ]
    return "\n".join(["| request | what its client needs |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(table_markdown())
