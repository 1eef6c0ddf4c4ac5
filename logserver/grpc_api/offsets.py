"""Committed offsets on the wire."""

from collections.abc import Iterable, Iterator, Sequence

from logserverpb.v1 import groups_pb2

from logserver.coordinator import OffsetCommitValue, OffsetToCommit, Place
from logserver.errors import LogServerError
from logserver.grpc_api.errors import to_error

_UNKNOWN = -1


def offsets_to_commit(messages: Iterable[groups_pb2.OffsetCommit]) -> list[OffsetToCommit]:
    """Returns what a client wants to commit."""
    return [
        OffsetToCommit(
            item.topic,
            item.partition,
            item.offset,
            item.leader_epoch if item.HasField("leader_epoch") else _UNKNOWN,
            item.metadata,
        )
        for item in messages
    ]


def commit_results(
    offsets: Sequence[OffsetToCommit], errors: Sequence[LogServerError | None]
) -> Iterator[groups_pb2.OffsetCommitResult]:
    """Yields how each commit went."""
    for offset, error in zip(offsets, errors, strict=True):
        yield place_result((offset.topic, offset.partition), error)


def place_result(place: Place, error: LogServerError | None) -> groups_pb2.OffsetCommitResult:
    """Returns how something went for one partition."""
    result = groups_pb2.OffsetCommitResult(topic=place[0], partition=place[1])
    if error is not None:
        result.error.CopyFrom(to_error(error))
    return result


def committed_offset(place: Place, value: OffsetCommitValue | None) -> groups_pb2.CommittedOffset:
    """Returns a committed offset; -1 if there is none."""
    if value is None:
        return groups_pb2.CommittedOffset(topic=place[0], partition=place[1], offset=_UNKNOWN, leader_epoch=_UNKNOWN)
    return groups_pb2.CommittedOffset(
        topic=place[0],
        partition=place[1],
        offset=value.offset,
        leader_epoch=value.leader_epoch,
        metadata=value.metadata,
        commit_timestamp_ms=value.commit_timestamp_ms,
    )
