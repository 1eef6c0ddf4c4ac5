"""Offsets by position or time, asked of the nodes that lead the partitions."""

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Final

from logserverpb.v1 import common_pb2, log_pb2

from logserver_client._backoff import Backoff
from logserver_client._transport.cluster import NO_LEADER, Cluster
from logserver_client._transport.status import error_from_message
from logserver_client.errors import LogServerError, UnknownTopicOrPartition, request_timed_out
from logserver_client.types import OffsetAndTimestamp, TopicPartition

_BACKOFF_FIRST_MS: Final = 50
_BACKOFF_MOST_MS: Final = 500

NO_OFFSET: Final = -1


async def list_offsets(
    cluster: Cluster,
    positions: Mapping[TopicPartition, common_pb2.Position],
    *,
    timeout_s: float,
    isolation_level: log_pb2.IsolationLevel = log_pb2.ISOLATION_LEVEL_READ_UNCOMMITTED,
) -> dict[TopicPartition, OffsetAndTimestamp]:
    """Returns the offset that each position stands for, -1 where no record matches a time.

    Raises:
        UnknownTopicOrPartition: there is no such partition.
        LogServerError: a partition can't be asked, or not within `timeout_s`.
    """
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + timeout_s
    backoff = Backoff(_BACKOFF_FIRST_MS, _BACKOFF_MOST_MS, Random())
    left = dict(positions)
    found: dict[TopicPartition, OffsetAndTimestamp] = {}
    fresh = False
    while left:
        by_node = await _by_leader(cluster, left, fresh)
        problem: LogServerError | None = None
        answers = await asyncio.gather(
            *(
                _ask_node(cluster, node, part, isolation_level, deadline_s - loop.time())
                for node, part in by_node.items()
            )
        )
        for results, error in answers:
            found.update(results)
            problem = error or problem
        left = {tp: position for tp, position in left.items() if tp not in found}
        if not left:
            break
        if problem is not None and not problem.retriable:
            raise problem
        if loop.time() >= deadline_s:
            raise problem or request_timed_out(f"nobody leads {', '.join(map(str, left))}")
        fresh = True
        await asyncio.sleep(backoff.next_delay_s())
    return found


async def _by_leader(
    cluster: Cluster, positions: Mapping[TopicPartition, common_pb2.Position], fresh: bool
) -> dict[int, dict[TopicPartition, common_pb2.Position]]:
    by_node: dict[int, dict[TopicPartition, common_pb2.Position]] = {}
    for topic in {tp.topic for tp in positions}:
        leaders = await cluster.topic(topic, fresh=fresh)
        wanted = [tp for tp in positions if tp.topic == topic]
        if any(not 0 <= tp.partition < leaders.partitions for tp in wanted) and not fresh:
            leaders = await cluster.topic(topic, fresh=True)
        for tp in wanted:
            if not 0 <= tp.partition < leaders.partitions:
                raise unknown_partition(tp, leaders.partitions)
            node = leaders.leaders[tp.partition]
            if node != NO_LEADER:
                by_node.setdefault(node, {})[tp] = positions[tp]
    return by_node


async def _ask_node(
    cluster: Cluster,
    node_id: int,
    positions: Mapping[TopicPartition, common_pb2.Position],
    isolation_level: log_pb2.IsolationLevel,
    timeout_s: float,
) -> tuple[dict[TopicPartition, OffsetAndTimestamp], LogServerError | None]:
    request = log_pb2.ListOffsetsRequest(
        partitions=[
            log_pb2.ListOffsetsPartition(topic=tp.topic, partition=tp.partition, position=position)
            for tp, position in positions.items()
        ],
        isolation_level=isolation_level,
    )
    found: dict[TopicPartition, OffsetAndTimestamp] = {}
    problem: LogServerError | None = None
    try:
        connection = await cluster.connection(node_id)
        answer = await connection.call(connection.log.ListOffsets, request, timeout_s)
    except LogServerError as error:
        return found, error
    for result in answer.results:
        if result.HasField("error"):
            problem = error_from_message(result.error)
        else:
            found[TopicPartition(result.topic, result.partition)] = OffsetAndTimestamp(result.offset, result.timestamp)
    return found, problem


def unknown_partition(tp: TopicPartition, partitions: int) -> UnknownTopicOrPartition:
    return UnknownTopicOrPartition(
        3,
        "UNKNOWN_TOPIC_OR_PARTITION",
        f"{tp.topic} has the partitions 0 to {partitions - 1}, not {tp.partition}",
    )
