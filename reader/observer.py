"""What the read side tells whoever counts: every call is optional, none may fail or block.

Knows nothing of the metrics library; `cauce/` joins the two.
"""


class ReadObserver:
    """Counts nothing. Subclass it."""

    def fetched(self, topic: str, size: int) -> None:
        """Record batches of a topic, so many bytes, are on their way to a client."""

    def answered(self, seconds: float) -> None:
        """A Fetch request was answered so long after it was received, waiting included."""

    def referred(self, partitions: int) -> None:
        """A consumer was told to fetch so many partitions from a reader node."""

    def followed(self, size: int) -> None:
        """A leader has answered a reader node, with so many bytes of record batches."""
