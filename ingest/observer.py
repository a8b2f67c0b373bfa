"""What the write side tells whoever counts: every call is optional, none may fail or block.

Knows nothing of the metrics library; `cauce/` joins the two.
"""


class IngestObserver:
    """Counts nothing. Subclass it; times are seconds, sizes bytes."""

    def appended(self, topic: str, records: int, size: int) -> None:
        """Record batches of a topic were appended."""

    def acknowledged(self, seconds: float) -> None:
        """A Produce request was answered so long after it was received."""

    def flushed(self, seconds: float, size: int, partitions: int) -> None:
        """A batch segment was built and is in the bucket."""

    def published(self, seconds: float) -> None:
        """A batch segment became visible."""

    def decided(self, commit: bool) -> None:
        """A transaction that is coordinated here is committed or aborted: its decision is durable."""

    def timed_out(self) -> None:
        """A transaction was aborted because it took too long; it counts as decided too."""

    def verified(self, seconds: float) -> None:
        """A transaction's coordinator was asked about partitions, and has answered, or has not in time."""

    def leading(self, partitions: int) -> None:
        """So many partitions are led now."""
