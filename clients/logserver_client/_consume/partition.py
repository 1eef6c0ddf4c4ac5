"""Where a consumer stands in one partition: what was handed out, what is on the way, what was asked for."""

from enum import Enum, auto

from logserverpb.v1 import common_pb2, log_pb2

from logserver_client.errors import LogServerError
from logserver_client.types import TopicPartition


class Taken(Enum):
    """What an answer of the server about a partition is."""

    STALE = auto()
    """Sent before the server saw the last command: to be dropped."""
    PLACED = auto()
    """The offset that the position asked for stands for, in `PartitionState.fetch_offset`."""
    DATA = auto()
    MOVED = auto()
    """No records for a user are before the offset in `PartitionState.fetch_offset`."""
    FAILED = auto()


class PartitionState:
    """One assigned partition. All offsets are those of the next record.

    `position` follows what the user got, `fetch_offset` what has come from the server: it is ahead by what is buffered,
    and it is where a new stream goes on after a lost one. Both are None until the server has said which offset
    `wanted` stands for.
    """

    __slots__ = (
        "end_offset",
        "error",
        "fetch_offset",
        "generation",
        "high_watermark",
        "is_finished",
        "is_outdated",
        "is_paused",
        "is_placed",
        "is_resetting",
        "node_id",
        "placed_generation",
        "position",
        "topic_id",
        "tp",
        "unknown_since_s",
        "wanted",
    )

    def __init__(self, tp: TopicPartition, wanted: common_pb2.Position, end_offset: int | None = None) -> None:
        self.tp = tp
        self.end_offset = end_offset
        """Where reading ends (exclusive); None for never."""
        self.is_finished = False
        """The end has been reached."""
        self.is_paused = False
        self.topic_id: str | None = None
        """The only topic of that name whose partition it may be; None for any."""
        self.is_outdated = False
        """The name belongs to another topic now, or may do so until it has been asked again: nothing is read, and the
        position means nothing."""
        self.node_id: int | None = None
        """The node whose subscription it is in."""
        self.generation = 0
        self.placed_generation = -1
        """The last one whose position the server has answered."""
        self.high_watermark: int | None = None
        """As of the last answer."""
        self.unknown_since_s: float | None = None
        """Since when the server has not known the partition."""
        self.seek(wanted)

    def seek(self, wanted: common_pb2.Position) -> None:
        """Moves to another position. What is buffered has been dropped."""
        self.wanted = wanted
        offset = wanted.offset if wanted.WhichOneof("at") == "offset" else None
        self.position = offset
        self.fetch_offset = offset
        self.is_placed = False
        """The server has taken `wanted`."""
        self.is_resetting = False
        self.error: LogServerError | None = None

    def rewind(self) -> None:
        """Has reading go on at the position of the user, because what was buffered has been dropped."""
        if self.position is not None:
            self.fetch_offset = self.position

    def reset(self, wanted: common_pb2.Position) -> None:
        """Moves on from an offset that is out of range; what is buffered stays, and the position follows behind it."""
        self.wanted = wanted
        self.fetch_offset = None
        self.is_resetting = True

    def where(self) -> common_pb2.Position:
        """Returns the position from which to subscribe."""
        return self.wanted if self.fetch_offset is None else common_pb2.Position(offset=self.fetch_offset)

    def take(self, data: log_pb2.PartitionData, has_batches: bool) -> Taken:
        """Takes in what the server sent about the partition, with or without record batches."""
        if data.generation < self.generation:
            return Taken.STALE
        if data.HasField("error"):
            return Taken.FAILED
        self.unknown_since_s = None
        self.high_watermark = data.high_watermark
        self.fetch_offset = data.next_offset
        if has_batches:
            return Taken.DATA
        if data.generation == self.placed_generation:
            return Taken.MOVED
        self.placed_generation = data.generation
        self.is_placed = True
        return Taken.PLACED
