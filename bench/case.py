"""What is measured: one case is one load on one topic, and its figures."""

from dataclasses import dataclass
from itertools import product

GIB = 1 << 30
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """A load: record size in bytes, acks, processes that produce, partitions of the topic."""

    record_bytes: int
    acks: str
    producers: int
    partitions: int

    @property
    def name(self) -> str:
        """One word for tables and topic names."""
        return f"{self.record_bytes}B-acks_{self.acks}-{self.producers}p-{self.partitions}t"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run of a case gave; latencies in milliseconds, None where they have no meaning."""

    records: int
    size: int  # bytes of values
    seconds: float
    node_cpu_seconds: float
    latencies_ms: tuple[float, float, float] | None = None  # p50, p99, p99.9

    @property
    def mb_per_second(self) -> float:
        """Million bytes of values a second."""
        return self.size / MB / self.seconds

    @property
    def records_per_second(self) -> float:
        """Records a second."""
        return self.records / self.seconds

    @property
    def cpu_per_gib(self) -> float:
        """CPU seconds of the node for each GiB of values."""
        return self.node_cpu_seconds / (self.size / GIB)


def all_cases() -> list[Case]:
    """Every combination: 1 KiB and 100 B, acks 1 and all, 1 and 8 producers, 1 and 100 partitions."""
    return [Case(*parts) for parts in product((1024, 100), ("1", "all"), (1, 8), (1, 100))]


def percentiles(values: list[float]) -> tuple[float, float, float] | None:
    """p50, p99 and p99.9 of what was sampled, None when nothing was."""
    if not values:
        return None
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return at(0.5), at(0.99), at(0.999)
