"""The request of Fetch."""

from typing import Final, NamedTuple

from logserver.broker.fetch_sessions import FetchPartition, PartitionKey
from logserver.kafka_api.codec import Struct, read_request

_KEY: Final = 1
_TOPIC_IDS: Final = 13
_REPLICA_STATE: Final = 15


class FetchRequest(NamedTuple):
    """A request of Fetch."""

    replica_id: int
    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    is_read_committed: bool
    session_id: int
    session_epoch: int
    partitions: dict[PartitionKey, FetchPartition]
    """In the order of the request; of one that comes twice the last, in the place of the first (as Kafka)."""
    forgotten: list[PartitionKey]


def read_fetch(data: memoryview, version: int, most_elements: int) -> FetchRequest:
    """Reads a request.

    Args:
        most_elements: see `codec.read_request`.

    Raises:
        MalformedMessage: the bytes are not one.
    """
    request = read_request(_KEY, version, data, most_elements)
    has_ids = version >= _TOPIC_IDS
    partitions: dict[PartitionKey, FetchPartition] = {}
    for topic in request.topics:
        name, topic_id = (None, topic.topic_id) if has_ids else (topic.topic, None)
        for asked in topic.partitions:
            partition = FetchPartition(
                name,
                topic_id,
                asked.partition,
                asked.fetch_offset,
                asked.partition_max_bytes,
                asked.current_leader_epoch,
                asked.last_fetched_epoch,
            )
            partitions[partition.key] = partition
    forgotten = [
        (topic.topic_id if has_ids else topic.topic, number)
        for topic in request.forgotten_topics_data
        for number in topic.partitions
    ]
    return FetchRequest(
        _replica_id(request, version),
        request.max_wait_ms,
        request.min_bytes,
        request.max_bytes,
        request.isolation_level == 1,
        request.session_id,
        request.session_epoch,
        partitions,
        forgotten,
    )


def _replica_id(request: Struct, version: int) -> int:
    if version < _REPLICA_STATE:
        replica_id: int = request.replica_id
        return replica_id
    state = request.replica_state
    # The default of a tagged struct is a plain dict.
    return int(state["replica_id"] if isinstance(state, dict) else state.replica_id)
