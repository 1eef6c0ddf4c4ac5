"""A user's position as the message that stands for it."""

from datetime import datetime

from logserverpb.v1 import common_pb2

from logserver_client.types import Position, Timestamp


def position_message(position: Position) -> common_pb2.Position:
    """Returns the message of a position.

    Raises:
        ValueError: an unknown word, a negative offset, a datetime without a time zone.
        TypeError: another type.
    """
    match position:
        case "earliest":
            return common_pb2.Position(earliest=common_pb2.Earliest())
        case "latest":
            return common_pb2.Position(latest=common_pb2.Latest())
        case str():
            raise ValueError(f"a position is 'earliest', 'latest', an offset or a time, not {position!r}")
        case bool():
            raise TypeError("a position is not a bool")
        case int():
            if position < 0:
                raise ValueError(f"an offset is at least 0, got {position}")
            return common_pb2.Position(offset=position)
        case Timestamp() | datetime():
            return common_pb2.Position(timestamp=timestamp_ms(position))
    raise TypeError(f"a position is 'earliest', 'latest', an offset or a time, not a {type(position).__name__}")


def timestamp_ms(time: Timestamp | datetime) -> int:
    """Returns milliseconds since the Unix epoch.

    Raises:
        ValueError: a datetime without a time zone, which could mean two different moments.
    """
    if isinstance(time, Timestamp):
        return time.ms
    if time.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone; use datetime(..., tzinfo=UTC) or astimezone()")
    return round(time.timestamp() * 1000)


def time_position(time: Timestamp | datetime | int) -> common_pb2.Position:
    """Returns the message of a time; an int is milliseconds since the Unix epoch.

    Raises:
        ValueError: as `timestamp_ms`.
    """
    return common_pb2.Position(timestamp=time if isinstance(time, int) else timestamp_ms(time))
