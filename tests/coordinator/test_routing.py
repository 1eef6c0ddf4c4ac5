"""Where a group is kept: as Java's `String.hashCode` and Apache Kafka's `Utils.abs` say."""

import pytest

from logserver.coordinator.routing import java_hash, partition_of

# What OpenJDK 17 returns: the hash, and the partition of 50 and of 7.
VECTORS = {
    "": (0, 0, 0),
    "a": (97, 47, 6),
    "Aa": (2112, 12, 5),
    "BB": (2112, 12, 5),
    "hello": (99162322, 22, 0),
    "my-group": (-1906497762, 12, 1),
    "console-consumer-12345": (158455506, 6, 6),
    # Integer.MIN_VALUE, which has no positive counterpart.
    "polygenelubricants": (-(2**31), 0, 0),
    "\u00e9": (233, 33, 2),
    "gr\u00fc\u00dfe": (98768023, 23, 4),
    "\u2603": (9731, 31, 1),
    # Beyond the basic plane: two code units.
    "\U0001f4a9": (1772556, 6, 2),
    "a\U0001f4a9z": (57839085, 35, 3),
    "\u65e5\u672c\u8a9e": (25921943, 43, 5),
    # Half of a pair.
    "\ud83d": (55357, 7, 1),
    "\0": (0, 0, 0),
    "\0\0": (0, 0, 0),
    "f" * 24: (-190564096, 46, 2),
    "group-0": (293427298, 48, 3),
    "group-1": (293427299, 49, 4),
    "group-2": (293427300, 0, 5),
}


@pytest.mark.parametrize("text", VECTORS)
def test_a_group_is_where_kafka_looks_for_it(text: str) -> None:
    assert (java_hash(text), partition_of(text, 50), partition_of(text, 7)) == VECTORS[text]


def test_groups_spread_over_all_partitions() -> None:
    assert {partition_of(f"group-{number}", 50) for number in range(1_000)} == set(range(50))
