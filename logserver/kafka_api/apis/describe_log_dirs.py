"""DescribeLogDirs (key 35), versions 1 to 5.

Behavior: tells the bytes of each partition in each data directory, those asked for or all, and the space of its file
system; of a directory that can't be used the error KAFKA_STORAGE_ERROR. Partitions that are not there, or whose log is
offline, are left out.

Version notes: 3 brought an error of the whole, 4 the space (KIP-827), 5 whether a directory is closed to new partitions
(KIP-1066), which it never is.

Source: KIP-113, KIP-827, KIP-1066; Apache Kafka: `ReplicaManager.describeLogDirs`.

Not done: nothing.
"""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from logserver.broker import Broker, Partition
from logserver.broker.broker import LogDirectory
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

_Topics: TypeAlias = dict[str, list[dict[str, Any]]]
"""Partitions by topic, as they are described."""


def _handle(call: Call, request: Struct) -> Response:
    broker = call.services.broker
    topics = _topics_by_path(broker, request)
    return {"results": [_result(directory, topics.get(directory.path, {})) for directory in broker.log_directories()]}


def _result(directory: LogDirectory, topics: _Topics) -> dict[str, Any]:
    if directory.error is not None:
        return {"log_dir": directory.path, "error_code": directory.error.code.value}
    return {
        "log_dir": directory.path,
        "topics": [{"name": name, "partitions": partitions} for name, partitions in topics.items()],
        "total_bytes": directory.total_bytes,
        "usable_bytes": directory.free_bytes,
    }


def _topics_by_path(broker: Broker, request: Struct) -> dict[str, _Topics]:
    """Returns what was asked for by the path of the directory that it is in."""
    found: dict[str, _Topics] = {}
    for topic, number, partition in _asked(broker, request):
        path = broker.log_directory_of(topic, number)
        if partition.log is not None and path is not None:
            described = {"partition_index": number, "partition_size": partition.log.size_bytes}
            found.setdefault(path, {}).setdefault(topic, []).append(described)
    return found


def _asked(broker: Broker, request: Struct) -> Iterator[tuple[str, int, Partition]]:
    if request.topics is None:
        for topic in broker.topics():
            for number, partition in enumerate(topic.partitions):
                yield topic.name, number, partition
        return
    wanted: dict[str, dict[int, None]] = {}
    for asked in request.topics:
        wanted.setdefault(asked.topic, {}).update(dict.fromkeys(asked.partitions))
    for name, numbers in wanted.items():
        found = broker.find_topic(name)
        partitions = found.partitions if found is not None else []
        for number in numbers:
            if 0 <= number < len(partitions):
                yield name, number, partitions[number]


def _failed(request: Struct, code: int, message: str) -> Response:
    # The older versions have no error but a directory's.
    return {"error_code": code, "results": [{"log_dir": "", "error_code": code}]}


API: Final = Api(35, "DescribeLogDirs", 1, 5, handle=_handle, failed=_failed)
