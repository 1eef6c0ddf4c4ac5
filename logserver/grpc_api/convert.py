"""Small conversions between messages and the broker's types."""

from logserverpb.v1 import admin_pb2, common_pb2, log_pb2

from logserver.broker import Broker, Partition, Topic
from logserver.broker.isolation import IsolationLevel
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.errors import to_error
from logserver.settings import topic_setting_rows


def check_count(count: int, limit: int) -> None:
    """Checks how many partitions a request names.

    Raises:
        LogServerError: INVALID_REQUEST.
    """
    if count > limit:
        raise LogServerError(
            ErrorCode.invalid_request,
            f"partitions has {count} entries, allowed are max.request.partition.size.limit={limit}; send several",
        )


def check_format(number: int) -> bool:
    """Returns whether a RecordFormat asks for plain records.

    Raises:
        LogServerError: INVALID_REQUEST for an unknown one.
    """
    if number not in (common_pb2.RECORD_FORMAT_BATCHES, common_pb2.RECORD_FORMAT_RECORDS):
        raise LogServerError(
            ErrorCode.invalid_request,
            f"format {number} is not known; give RECORD_FORMAT_BATCHES or RECORD_FORMAT_RECORDS",
        )
    return number == common_pb2.RECORD_FORMAT_RECORDS


def check_isolation(number: int) -> IsolationLevel:
    """Returns what a number of the enumeration stands for.

    Raises:
        LogServerError: INVALID_REQUEST for an unknown one.
    """
    try:
        return IsolationLevel(number)
    except ValueError:
        raise LogServerError(
            ErrorCode.invalid_request,
            f"isolation_level {number} is not known; give ISOLATION_LEVEL_READ_UNCOMMITTED or "
            "ISOLATION_LEVEL_READ_COMMITTED",
        ) from None


def partition_data(
    topic: str, number: int, partition: Partition | None, next_offset: int, error: LogServerError | None
) -> log_pb2.PartitionData:
    """Returns the answer for one partition, without its records."""
    message = log_pb2.PartitionData(
        topic=topic,
        partition=number,
        next_offset=next_offset,
        high_watermark=partition.high_watermark if partition is not None else -1,
        log_start_offset=partition.log_start_offset if partition is not None else -1,
        last_stable_offset=partition.last_stable_offset if partition is not None else -1,
    )
    if error is not None:
        message.error.CopyFrom(to_error(error))
    return message


async def resolve(
    partition: Partition, position: common_pb2.Position, isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED
) -> tuple[int, int]:
    """Returns (offset, timestamp) that a position stands for; -1 for what there is not.

    Raises:
        LogServerError: INVALID_REQUEST for an empty position, OFFSET_OUT_OF_RANGE, or the partition can't be read.
    """
    if partition.unavailable is not None:
        raise partition.unavailable
    kind = position.WhichOneof("at")
    if kind == "offset":
        _check_offset(partition, position.offset)
        return position.offset, -1
    if kind == "earliest":
        return partition.log_start_offset, -1
    if kind == "latest":
        return isolation.end(partition), -1
    if kind == "timestamp":
        found = await partition.offset_for_timestamp(position.timestamp)
    elif kind == "max_timestamp":
        found = await partition.offset_of_max_timestamp()
    else:
        raise LogServerError(
            ErrorCode.invalid_request,
            "position is empty; give offset, timestamp, earliest, latest or max_timestamp",
        )
    if found is None or found.offset >= isolation.end(partition):
        return -1, -1
    return found.offset, found.timestamp_ms


def _check_offset(partition: Partition, offset: int) -> None:
    # As fetching: an offset between the high watermark and the log end is one that is about to be there.
    if not partition.log_start_offset <= offset <= partition.log_end_offset:
        raise LogServerError(
            ErrorCode.offset_out_of_range,
            f"offset {offset} of {partition} is out of range: its records go from "
            f"{partition.log_start_offset} to {partition.high_watermark}",
        )


def topic_message(broker: Broker, topic: Topic) -> admin_pb2.Topic:
    """Returns a topic with its partitions and settings."""
    message = admin_pb2.Topic(name=topic.name, topic_id=topic.record.topic_id, internal=topic.internal)
    for partition in topic.partitions:
        led = partition.unavailable is None
        part = message.partitions.add(
            partition=partition.number,
            leader=broker.node.node_id if led else -1,
            leader_epoch=partition.leader_epoch,
            log_start_offset=partition.log_start_offset,
            high_watermark=partition.high_watermark,
            log_end_offset=partition.log_end_offset,
            size_bytes=partition.log.size_bytes if partition.log is not None else 0,
        )
        if partition.unavailable is not None:
            part.error.CopyFrom(to_error(partition.unavailable))
    for row in topic_setting_rows(broker.settings, topic.record.settings):
        message.settings.add(
            name=row.name,
            value=row.value,
            default_value=row.default_value,
            overridden=row.overridden,
            documentation=row.documentation,
        )
    return message
