"""`cauce bucket check`: what of a bucket is missing, unreferenced or damaged; `--mend` puts right what can be.

Works with nodes running or not. Ends with 1 when something is missing or damaged.
"""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from cauce.cli.bucket_place import DATA, BucketUrl, DataFolder, bucket_at, opened, topic_ledger
from cauce.cli.options import AsJson
from cauce.cli.output import FAILED, print_json, print_rows, sentences
from infra.settings_table import SETTINGS

if TYPE_CHECKING:
    from compactor.bucket_check import CheckReport, Finding, Kind
    from compactor.bucket_mend import Mended

_GRACE, _UNDELETE = "cauce.garbage.grace.ms", "cauce.topic.undelete.ms"
_KINDS: "tuple[Kind, ...]" = ("missing", "unreferenced", "damaged")


@sentences
def check(
    bucket_url: BucketUrl = None,
    data: DataFolder = DATA,
    mend: Annotated[bool, typer.Option("--mend", help="Delete what nothing needs, finish half done deletes.")] = False,
    grace_ms: Annotated[int, typer.Option(min=0, help=f"What {_GRACE} is: younger garbage is left alone.")] = int(
        SETTINGS[_GRACE].default
    ),
    undelete_ms: Annotated[
        int, typer.Option(min=0, help=f"What {_UNDELETE} is: so long deleted topics are kept.")
    ] = int(SETTINGS[_UNDELETE].default),
    as_json: AsJson = False,
) -> None:
    """Check a bucket: every object that ledgers name is there and whole, and nothing is left over."""
    url = bucket_at(bucket_url, data)
    report, mended = asyncio.run(_check(url, mend, grace_ms, undelete_ms))
    if as_json:
        print_json(_document(report, mended))
    else:
        _print(report, mended)
    if not report.sound:
        raise typer.Exit(FAILED)


async def _check(url: str, mend: bool, grace_ms: int, undelete_ms: int) -> "tuple[CheckReport, Mended | None]":
    from compactor.bucket_check import BucketCheck
    from compactor.bucket_mend import BucketMend
    from infra.clock import SYSTEM_CLOCK

    async with opened(url) as store:
        topics = topic_ledger(store)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            transient=True,
            disable=not sys.stderr.isatty(),
        ) as progress:
            report = await BucketCheck(store, topics, _Stages(progress).tell).run()
        mended = None
        if mend:
            doing = BucketMend(store, topics, SYSTEM_CLOCK, grace_ms=grace_ms, undelete_ms=undelete_ms)
            mended = await doing.run(report)
        return report, mended


class _Stages:
    """A bar for each stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def tell(self, stage: str, done: int, of: int | None) -> None:
        """As `compactor.bucket_check.Progress`."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage)
        self._progress.update(self._tasks[stage], completed=done, total=of)


def _document(report: "CheckReport", mended: "Mended | None") -> dict[str, Any]:
    now_ms = _now_ms()
    document: dict[str, Any] = {
        "objects": report.objects,
        "unknown": list(report.unknown),
        **{kind: [_row(one, report, now_ms) for one in report.of(kind)] for kind in _KINDS},
    }
    if mended is not None:
        document["mended"] = {
            "deleted": list(mended.deleted),
            "purged_topics": list(mended.purged),
            "waiting": mended.waiting,
        }
    return document


def _row(finding: "Finding", report: "CheckReport", now_ms: int) -> dict[str, Any]:
    row: dict[str, Any] = {"topic": _topic(finding, report), "key": finding.key, "problem": finding.problem}
    if finding.kind == "unreferenced":
        row |= {"bytes": finding.size, "for_seconds": max(0, now_ms - finding.dead_since_ms) // 1000}
    return row


def _print(report: "CheckReport", mended: "Mended | None") -> None:
    now_ms = _now_ms()
    topics = sorted({_topic(one, report) or "" for one in report.findings})
    for topic in topics:
        counts = {kind: sum(_topic(one, report) == (topic or None) for one in report.of(kind)) for kind in _KINDS}
        words = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        print(f"{f'topic {topic}' if topic else 'no single topic'}: {words}")
    for kind in _KINDS:
        rows = [_row(one, report, now_ms) for one in report.of(kind)]
        if rows:
            print(f"\n{kind}:")
            shown = [{**row, "for": _words(row["for_seconds"])} if "for_seconds" in row else row for row in rows]
            more = ["bytes", "for"] if kind == "unreferenced" else []
            print_rows(shown, ["topic", "key", "problem", *more], as_json=False)
    for key in report.unknown:
        print(f"{key} is no object of a Cauce bucket: it is left alone")
    found = ", ".join(f"{len(report.of(kind))} {kind}" for kind in _KINDS)
    print(f"{report.objects} objects: {found}")
    if mended is not None:
        print(f"deleted {len(mended.deleted)} objects, {mended.waiting} are left to wait for their grace")
        for name in mended.purged:
            print(f"topic {name} was deleted long enough ago: it can be undeleted no more")


def _topic(finding: "Finding", report: "CheckReport") -> str | None:
    if finding.topic_id is None:
        return None
    return report.names.get(finding.topic_id, str(finding.topic_id))


def _words(seconds: int) -> str:
    """A length of time for people."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _now_ms() -> int:
    from infra.clock import SYSTEM_CLOCK

    return SYSTEM_CLOCK.now_ms()
