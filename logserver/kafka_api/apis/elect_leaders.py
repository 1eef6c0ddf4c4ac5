"""ElectLeaders (key 43), versions 0 to 2.

Behavior: every partition that is online has its one possible leader already (ELECTION_NOT_NEEDED), and one that is
offline can't get another. Asked about all partitions, only those that are offline are told.

Version notes: 1 brought elections of replicas that are not in sync (KIP-460) and an error of the whole.

Source: KIP-183, KIP-460; Apache Kafka: `ReplicationControlManager.electLeaders`.

Not done: nothing.
"""

from collections.abc import Iterable
from typing import Any, Final

from logserver.broker import Broker
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.deadline import check_time
from logserver.kafka_api.errors import error_fields

_PREFERRED: Final = 0
_UNCLEAN: Final = 1


def _handle(call: Call, request: Struct) -> Response:
    check_time(request.timeout_ms)
    kind = request.election_type
    if kind not in (_PREFERRED, _UNCLEAN):
        raise LogServerError(ErrorCode.invalid_request, f"there is no election type {kind}")
    broker = call.services.broker
    if request.topic_partitions is not None:
        asked = [(topic.topic, _results(broker, topic.topic, topic.partitions, kind)) for topic in _topics(request)]
    else:
        asked = [
            (topic.name, _not_needed_left_out(_results(broker, topic.name, range(len(topic.partitions)), kind)))
            for topic in broker.topics()
        ]
    return {"replica_election_results": [{"topic": name, "partition_result": results} for name, results in asked]}


def _topics(request: Struct) -> list[Struct]:
    return list(request.topic_partitions or ())


def _results(broker: Broker, topic: str, numbers: Iterable[int], kind: int) -> list[dict[str, Any]]:
    return [{"partition_id": number, **error_fields(_result(broker, topic, number, kind))} for number in numbers]


def _not_needed_left_out(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [result for result in results if result["error_code"] != ErrorCode.election_not_needed.value]


def _result(broker: Broker, topic: str, number: int, kind: int) -> LogServerError:
    try:
        partition = broker.partition(topic, number)
    except LogServerError as error:
        return error
    if partition.unavailable is None:
        return LogServerError(ErrorCode.election_not_needed, f"{partition} is led by its only replica")
    code = ErrorCode.preferred_leader_not_available if kind == _PREFERRED else ErrorCode.eligible_leaders_not_available
    return LogServerError(code, f"the only replica of {partition} is offline: {partition.unavailable.message}")


def _failed(request: Struct, code: int, message: str) -> Response:
    error = {"error_code": code, "error_message": message}
    return {
        "error_code": code,
        "replica_election_results": [
            {
                "topic": topic.topic,
                "partition_result": [{"partition_id": number} | error for number in topic.partitions],
            }
            for topic in _topics(request)
        ],
    }


API: Final = Api(43, "ElectLeaders", 0, 2, handle=_handle, failed=_failed)
