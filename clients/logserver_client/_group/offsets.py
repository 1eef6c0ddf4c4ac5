"""Committed offsets by unary calls, tried again while the coordinator moves or loads."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, Final, NamedTuple

from logserverpb.v1 import groups_pb2, log_pb2

from logserver_client._backoff import Backoff
from logserver_client._transport.cluster import Cluster
from logserver_client._transport.connection import Connection
from logserver_client.errors import ConnectionFailed, LogServerError, RequestTimedOut
from logserver_client.types import OffsetAndMetadata, TopicPartition

_log = logging.getLogger("logserver_client")

_BACKOFF_FIRST_MS: Final = 50
_BACKOFF_MOST_MS: Final = 500
_NONE: Final = -1

_UNKNOWN_TOPIC: Final = "UNKNOWN_TOPIC_OR_PARTITION"


OffsetsToCommit = (
    Mapping[TopicPartition, int | OffsetAndMetadata]
    | Mapping[TopicPartition, int]
    | Mapping[TopicPartition, OffsetAndMetadata]
    | Mapping[tuple[str, int], int | OffsetAndMetadata]
)
"""Offsets as a user gives them."""


class As(NamedTuple):
    """The member as which a call is made; the coordinator refuses those that aren't members any more."""

    member_id: str
    member_epoch: int


async def ask_coordinator(
    cluster: Cluster,
    method: Callable[[Connection], Callable[..., Any]],
    request: Any,
    timeout_s: float,
    *,
    repeatable: bool = True,
) -> Any:
    """Makes a unary call until the coordinator is there and answers.

    Args:
        repeatable: made twice it is the same as made once; otherwise it is not made again when the connection breaks
            under it.

    Raises:
        LogServerError: it refused, or was not there in time.
    """
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + timeout_s
    backoff = Backoff(_BACKOFF_FIRST_MS, _BACKOFF_MOST_MS, Random())
    while True:
        try:
            if repeatable:
                return await cluster.ask(method, request)
            left_s = max(deadline_s - loop.time(), 0.0)
            return await cluster.bootstrap.call(method(cluster.bootstrap), request, left_s, repeatable=False)
        except LogServerError as error:
            delay_s = backoff.next_delay_s()
            is_unclear = not repeatable and isinstance(error, ConnectionFailed | RequestTimedOut)
            # Retriable by Kafka's rules, but a coordinator that answers knows all topics.
            is_final = not error.retriable or error.name == _UNKNOWN_TOPIC
            if is_final or is_unclear or loop.time() + delay_s >= deadline_s:
                raise
            _log.debug("the coordinator does not answer yet error=%s", error)
            await asyncio.sleep(delay_s)


async def fetch_offsets(
    cluster: Cluster, group_id: str, partitions: Iterable[TopicPartition], member: As | None, timeout_s: float
) -> dict[TopicPartition, OffsetAndMetadata | None]:
    """Returns what a group has committed for these partitions, all of them if none are given; None for nothing.

    Raises:
        LogServerError: the coordinator refused (UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH, ...), or was not there in time.
    """
    wanted = list(partitions)
    request = groups_pb2.FetchOffsetsRequest(
        group_id=group_id,
        partitions=[log_pb2.TopicPartition(topic=tp.topic, partition=tp.partition) for tp in wanted],
        member_id=None if member is None else member.member_id,
        member_epoch=_NONE if member is None else member.member_epoch,
    )
    answer = await ask_coordinator(cluster, lambda connection: connection.groups.FetchOffsets, request, timeout_s)
    found: dict[TopicPartition, OffsetAndMetadata | None] = dict.fromkeys(wanted)
    for row in answer.offsets:
        found[TopicPartition(row.topic, row.partition)] = committed_offset(row)
    return found


def commit_message(tp: TopicPartition, committed: OffsetAndMetadata) -> groups_pb2.OffsetCommit:
    return groups_pb2.OffsetCommit(
        topic=tp.topic,
        partition=tp.partition,
        offset=committed.offset,
        leader_epoch=committed.leader_epoch,
        metadata=committed.metadata,
    )


def committed_offset(row: groups_pb2.CommittedOffset) -> OffsetAndMetadata | None:
    if row.offset == _NONE:
        return None
    return OffsetAndMetadata(row.offset, None if row.leader_epoch == _NONE else row.leader_epoch, row.metadata)


def offsets_to_commit(offsets: OffsetsToCommit) -> dict[TopicPartition, OffsetAndMetadata]:
    """Returns what a user wants committed in its full form.

    Raises:
        ValueError: an offset is negative.
        TypeError: an offset is neither an int nor an `OffsetAndMetadata`.
    """
    full: dict[TopicPartition, OffsetAndMetadata] = {}
    for tp, given in offsets.items():
        wanted = OffsetAndMetadata(given) if isinstance(given, int) else given
        if not isinstance(wanted, OffsetAndMetadata) or isinstance(given, bool):
            raise TypeError(f"an offset to commit is an int or an OffsetAndMetadata, not {given!r}")
        if wanted.offset < 0:
            raise ValueError(f"an offset is at least 0, got {wanted.offset} for {TopicPartition(*tp)}")
        full[TopicPartition(*tp)] = wanted
    return full
