"""The features of the cluster, by whose levels clients choose protocols (KIP-584)."""

from typing import Final, NamedTuple


class Feature(NamedTuple):
    """A feature; both levels inclusive."""

    lowest: int
    highest: int
    in_force: int


FEATURES: Final = {
    # Clients look for consumer groups of KIP-848 here.
    "group.version": Feature(0, 1, 1),
    # That of Apache Kafka 4.3, whose behavior is this server's.
    "metadata.version": Feature(7, 30, 30),
    # Share groups (KIP-932).
    "share.version": Feature(0, 1, 1),
    # Producers whose epoch rises with each transaction (KIP-890).
    "transaction.version": Feature(0, 2, 2),
}
"""What Apache Kafka 4.3.1 has, without what is not served: streams.version, and kraft.version and
eligible.leader.replicas.version, which are about several brokers."""

EPOCH: Final = sum(feature.in_force for feature in FEATURES.values())
"""Rises with every level that a later version of this server puts into force: clients believe the newest."""
