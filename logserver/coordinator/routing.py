"""Which partition of `__consumer_offsets` keeps a group: Kafka's rule, so that its tools look where the group is."""

from functools import lru_cache

CONSUMER_OFFSETS = "__consumer_offsets"


@lru_cache(maxsize=10_000)
def java_hash(text: str) -> int:
    """Returns what Java's `String.hashCode` returns: over UTF-16 code units, as a signed 32-bit number."""
    value = 0
    data = text.encode("utf-16-le", "surrogatepass")
    for low, high in zip(data[::2], data[1::2], strict=True):
        value = (31 * value + (high << 8 | low)) & 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def partition_of(group_id: str, partitions: int) -> int:
    """Returns the partition that keeps a group.

    Source: Apache Kafka: `GroupCoordinatorService.partitionFor`, `Utils.abs`.
    """
    value = java_hash(group_id)
    # As Java, where the smallest number has no positive counterpart.
    return (0 if value == -(1 << 31) else abs(value)) % partitions
