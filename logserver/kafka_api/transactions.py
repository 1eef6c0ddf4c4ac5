"""Requests about transactions: what they have in common."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from logserver.broker.peers import Place
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.codec import Struct

EPOCH_BUMP: Final = 2
"""The transaction version whose producers get a new epoch with every transaction (KIP-890)."""


def code_of(error: LogServerError | None, *, knows_fenced: bool) -> int:
    """Returns the error code for a client; one that is older than PRODUCER_FENCED knows INVALID_PRODUCER_EPOCH."""
    if error is None:
        return 0
    if error.code is ErrorCode.producer_fenced and not knows_fenced:
        return ErrorCode.invalid_producer_epoch.value
    return error.code.value


def places_of(topics: Iterable[Struct]) -> list[Place]:
    """Returns the partitions of topics, each of which has a name and numbers of partitions."""
    return [(topic.name, number) for topic in topics for number in topic.partitions]


def results(topics: Iterable[Struct], codes: Mapping[Place, int]) -> list[dict[str, Any]]:
    """Returns the answers for partitions, topic by topic as they were asked for."""
    return [
        {
            "name": topic.name,
            "results_by_partition": [
                {"partition_index": number, "partition_error_code": codes[topic.name, number]}
                for number in topic.partitions
            ],
        }
        for topic in topics
    ]
