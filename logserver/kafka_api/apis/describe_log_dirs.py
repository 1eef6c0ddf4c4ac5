"""DescribeLogDirs (key 35), versions 1 to 5.

Behavior: tells the bytes of each partition in the one data directory, those asked for or all, and the space of its file
system. Partitions that are not there, or whose log is offline, are left out.

Version notes: 3 brought an error of the whole, 4 the space (KIP-827), 5 whether a directory is closed to new partitions
(KIP-1066), which it never is.

Source: KIP-113, KIP-827, KIP-1066; Apache Kafka: `ReplicaManager.describeLogDirs`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.broker import Broker, Partition
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct


def _handle(call: Call, request: Struct) -> Response:
    broker = call.services.broker
    directory = broker.log_directory()
    result: dict[str, Any] = {"log_dir": directory.path}
    if directory.error is not None:
        return {"results": [result | {"error_code": directory.error.code.value}]}
    result["topics"] = _topics(broker, request)
    result["total_bytes"], result["usable_bytes"] = directory.total_bytes, directory.free_bytes
    return {"results": [result]}


def _topics(broker: Broker, request: Struct) -> list[dict[str, Any]]:
    found: dict[str, dict[int, Partition]] = {}
    if request.topics is None:
        found = {topic.name: dict(enumerate(topic.partitions)) for topic in broker.topics()}
    for asked in request.topics or ():
        topic = broker.find_topic(asked.topic)
        if topic is not None:
            known = range(len(topic.partitions))
            wanted = {number: topic.partitions[number] for number in asked.partitions if number in known}
            found.setdefault(topic.name, {}).update(wanted)
    described = [{"name": name, "partitions": _partitions(partitions)} for name, partitions in found.items()]
    return [topic for topic in described if topic["partitions"]]


def _partitions(partitions: dict[int, Partition]) -> list[dict[str, Any]]:
    return [
        {"partition_index": number, "partition_size": partition.log.size_bytes}
        for number, partition in partitions.items()
        if partition.log is not None
    ]


def _failed(request: Struct, code: int, message: str) -> Response:
    # The older versions have no error but a directory's.
    return {"error_code": code, "results": [{"log_dir": "", "error_code": code}]}


API: Final = Api(35, "DescribeLogDirs", 1, 5, handle=_handle, failed=_failed)
