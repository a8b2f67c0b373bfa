"""What a compactor counts: named totals and gauges, each declared once with its sentence.

They leave the process as they stand; its node shows them (`cauce_compaction_…`). No labels: bounded by design.
"""

from collections.abc import Mapping

COUNTERS: Mapping[str, str] = {
    "bytes_in": "Bytes of record batches read to be written as records.",
    "bytes_out": "Bytes of record segments written, merges included.",
    "bytes_first_written": "Bytes of record segments written from record batches, without merges.",
    "records": "Records written, merges included.",
    "runs": "Replaces made by compaction and merging.",
    "lost_runs": "Runs given up because another compactor was faster or their inputs were gone.",
    "failures": "Turns of a partition that ended in an error.",
    "seconds": "Time spent in runs, waiting for the store included.",
    "cleaned_records": "Records that cleaning has taken away.",
    "cleaned_bytes_out": "Bytes of record segments written by cleaning.",
    "table_commits": "Commits made to tables of topics.",
    "table_failures": "Tries to bring a topic's table up to date that ended in an error.",
    "store_creates": "Objects the compactor put into the bucket, or tried to.",
    "store_gets": "GETs of the compactor.",
    "store_heads": "HEADs of the compactor.",
    "store_lists": "LISTs of the compactor.",
    "store_deletes": "Calls of the compactor that delete objects.",
    "store_errors": "Requests of the compactor that the store did not answer.",
    "unreadable_batches": "Record batches that could not be decoded and are kept as they were.",
}
GAUGES: Mapping[str, str] = {
    "backlog_bytes": "Bytes of record batches waiting in the partitions looked at.",
    "write_amplification": "Bytes of record segments written for each byte first written.",
    "last_run_timestamp_seconds": "Wall clock of the last replace, 0 before the first.",
}


class Meter:
    """Totals since the process began."""

    def __init__(self) -> None:
        self._totals: dict[str, float] = dict.fromkeys(COUNTERS, 0.0)
        self._backlog: dict[object, int] = {}
        self._last_run_ms = 0

    def add(self, name: str, amount: float = 1.0) -> None:
        """Raise a total of `COUNTERS`. Raises `KeyError` for another name."""
        self._totals[name] += amount

    def asked_store(self, kind: str, outcome: str, seconds: float, size: int) -> None:
        """A request to the store has ended (`infra.store.counted.Observe`)."""
        self.add(f"store_{kind}s")
        if outcome == "error":
            self.add("store_errors")

    def ran(self, now_ms: int) -> None:
        """A replace was made."""
        self.add("runs")
        self._last_run_ms = now_ms

    def backlog(self, partition: object, size: int) -> None:
        """So many bytes wait in one partition; 0 forgets it."""
        if size:
            self._backlog[partition] = size
        else:
            self._backlog.pop(partition, None)

    def totals(self) -> dict[str, float]:
        """Every counter."""
        return dict(self._totals)

    def gauges(self) -> dict[str, float]:
        """Every gauge."""
        first = self._totals["bytes_first_written"]
        return {
            "backlog_bytes": float(sum(self._backlog.values())),
            "write_amplification": self._totals["bytes_out"] / first if first else 0.0,
            "last_run_timestamp_seconds": self._last_run_ms / 1000,
        }
