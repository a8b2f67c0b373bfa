"""Which partition of an internal topic a key (group id, transactional id) belongs to: as Kafka's brokers compute it."""

import struct


def java_string_hash(text: str) -> int:
    """Java's `String.hashCode`: over UTF-16 code units, as a signed 32-bit number."""
    encoded = text.encode("utf-16-be", "surrogatepass")
    total = 0
    for unit in struct.unpack(f">{len(encoded) // 2}H", encoded):
        total = (31 * total + unit) & 0xFFFFFFFF
    return total - (1 << 32) if total >= 1 << 31 else total


def partition_of_key(key: str, partitions: int) -> int:
    """abs(hash) modulo the partitions; the one number without an absolute value counts as 0."""
    hashed = java_string_hash(key)
    return (0 if hashed == -(1 << 31) else abs(hashed)) % partitions
