"""What a cluster costs a month beside Kafka of one's own: the arithmetic of docs/cost.md, which
`python -m tests.terraform.cost` prints. Prices are AWS' list prices of us-east-1, without discounts or taxes."""

from dataclasses import dataclass
from math import ceil

HOURS = 730
SECONDS = HOURS * 3600
GB_OF_MIB = 2**20 / 1e9
RETENTION_DAYS, FAN_OUT, ZONES = 7, 3, 3

VCPU, GIB = 0.04048, 0.004445  # Fargate, an hour
SPOT = 0.3  # of that, on Spot
S3_PUT, S3_GET = 0.005 / 1000, 0.0004 / 1000  # LIST costs as PUT
S3_TIERS = ((51_200.0, 0.023), (460_800.0, 0.022), (float("inf"), 0.021))  # GB, $ a GB-month
ACROSS = 0.02  # a GB from zone to zone: 0.01 at each end
BALANCER, NAT = 0.0225, 0.045  # an hour
EBS = 0.08  # gp3, a GB-month

CPU_SECONDS_PER_GIB = 20.0  # 4 in, 4 for each of three consumers, 4 for the PUT over TLS
BUSY_CORES = 0.7  # of a node of 2 vCPU: 35 %
COMPACTOR_MIB = 30.0  # a second, of 1 vCPU at 60 %, merges included
STORED = 0.85  # of what came in, as Parquet
FLUSHES, FLUSH_MIB = 4.0, 8.0  # a second and node; a larger flush is two
DISK_FULL = 0.7  # of a broker's disk


@dataclass(frozen=True)
class Case:
    """One throughput, and what is chosen for it."""

    mib: float  # a second, in, as producers compressed it
    partitions: int
    redis: tuple[str, float, int]  # type, $ an hour, nodes
    broker: tuple[str, float, int]
    controller: float  # $ an hour, each of three


CASES = (
    Case(10, 24, ("cache.t4g.small", 0.0256, 2), ("m7g.large", 0.0816, 3), 0.0408),
    Case(100, 120, ("cache.m7g.large", 0.1264, 2), ("m7g.xlarge", 0.1632, 6), 0.0408),
    Case(1000, 600, ("cache.m7g.large", 0.1264, 3), ("m7g.2xlarge", 0.3264, 30), 0.0816),
)


def gb_a_month(case: Case) -> float:
    """GB that come in."""
    return case.mib * SECONDS * GB_OF_MIB


def stored_gb(case: Case) -> float:
    """GB within retention, as they came in."""
    return case.mib * 86400 * RETENTION_DAYS * GB_OF_MIB


def nodes(case: Case) -> int:
    """Ingest nodes: the same number in each zone, enough when one zone is away."""
    cores = case.mib / 1024 * CPU_SECONDS_PER_GIB
    return ZONES * max(1, ceil(cores / BUSY_CORES / (ZONES - 1)))


def cauce(case: Case) -> dict[str, float]:
    """Rows of the table."""
    count, gib = nodes(case), case.mib * SECONDS / 1024
    puts = count * max(FLUSHES, case.mib / count / FLUSH_MIB) * SECONDS
    gets = FLUSHES * case.partitions * SECONDS
    return {
        "ingest nodes": count * (2 * VCPU + 4 * GIB) * HOURS,
        "compactors on Spot": ceil(case.mib / COMPACTOR_MIB) * (VCPU + 4 * GIB) * SPOT * HOURS,
        "Redis": case.redis[1] * case.redis[2] * HOURS,
        "S3: storage": s3_storage(STORED * stored_gb(case)),
        "S3: PUTs of flushes": puts * S3_PUT,
        "S3: compaction": gets * S3_GET + gib * (64 + 64) * S3_PUT,
        "load balancer, NAT": (BALANCER + ZONES * NAT) * HOURS,
        "from zone to zone: producers": 2 / 3 * gb_a_month(case) * ACROSS,
        "from zone to zone: consumers": min(2.0, FAN_OUT * 2 / 3) * gb_a_month(case) * ACROSS,
    }


def kafka(case: Case, local_days: float = RETENTION_DAYS) -> dict[str, float]:
    """Rows of the table; with fewer days on brokers' disks the rest is in S3 (tiered storage)."""
    disk = 3 * stored_gb(case) * local_days / RETENTION_DAYS / DISK_FULL
    tiered = s3_storage(stored_gb(case)) if local_days < RETENTION_DAYS else 0.0
    return {
        "brokers": case.broker[1] * case.broker[2] * HOURS,
        "controllers": 3 * case.controller * HOURS,
        "disks, three copies": disk * EBS,
        "S3: storage": tiered,
        "from zone to zone: producers": 2 / 3 * gb_a_month(case) * ACROSS,
        "from zone to zone: replication": 2 * gb_a_month(case) * ACROSS,
    }


def s3_storage(gb: float) -> float:
    """$ a month, by S3's tiers."""
    total = 0.0
    for size, price in S3_TIERS:
        total += min(gb, size) * price
        gb = max(0.0, gb - size)
    return total


def table() -> str:
    """The table of docs/cost.md."""
    systems = {
        "Cauce": [cauce(case) for case in CASES],
        "Kafka, all on disks": [kafka(case) for case in CASES],
        "Kafka, 12 h on disks, the rest in S3": [kafka(case, 0.5) for case in CASES],
    }
    lines = ["| $ a month | 10 MiB/s | 100 MiB/s | 1,000 MiB/s |", "|---|---|---|---|"]
    for name, columns in systems.items():
        lines.append(f"| **{name}** | " + " | ".join(f"**{sum(column.values()):,.0f}**" for column in columns) + " |")
        lines += [
            f"| {row} | " + " | ".join(f"{column[row]:,.0f}" for column in columns) + " |"
            for row in columns[0]
            if any(column[row] for column in columns)
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    print([nodes(case) for case in CASES])
    print(table())
