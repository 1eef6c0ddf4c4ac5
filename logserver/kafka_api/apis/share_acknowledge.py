"""ShareAcknowledge (key 79), versions 1 and 2.

Behavior: acknowledges, releases, rejects or renews what a member of a share group holds; all of a partition or, where
some of it can't be done, nothing; answers when that is durable. A session can be ended by it: what the member still
holds is given back.

Version notes: 0 was for early access in Apache Kafka 4.0 only; 2 brought renewing locks (KIP-1222).

Source: KIP-932; Apache Kafka: `KafkaApis.handleShareAcknowledgeRequest`, `SharePartition.acknowledge`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.share_fetching import Acknowledging, check_names
from logserver.kafka_api.share_sessions import FINAL_EPOCH, INITIAL_EPOCH

_RENEWS_FROM: Final = 2
_NO_LEADER: Final = {"leader_id": 0, "leader_epoch": 0}


async def _handle(call: Call, request: Struct) -> Response:
    check_names(request)
    if request.share_session_epoch == INITIAL_EPOCH:
        raise LogServerError(
            ErrorCode.invalid_share_session_epoch, "a share session is begun by ShareFetch, not by ShareAcknowledge"
        )
    sessions = call.services.share_sessions
    session = sessions.go_on(request.group_id, request.member_id, request.share_session_epoch)
    renews = call.version >= _RENEWS_FROM and request.is_renew_ack
    outcomes = await Acknowledging(call, request, renews=renews).run(request.topics)
    if request.share_session_epoch == FINAL_EPOCH:
        sessions.close(session)
    limits = call.services.groups.limits.share
    return {
        "acquisition_lock_timeout_ms": limits.record_lock_duration_of(request.group_id),
        "responses": [
            {
                "topic_id": topic.topic_id,
                "partitions": [
                    _partition(partition.partition_index, outcomes.get((topic.topic_id, partition.partition_index)))
                    for partition in topic.partitions
                ],
            }
            for topic in request.topics
        ],
    }


def _partition(number: int, error: LogServerError | None) -> dict[str, Any]:
    return {
        "partition_index": number,
        "error_code": error.code.value if error is not None else 0,
        "error_message": error.message if error is not None else None,
        "current_leader": _NO_LEADER,
    }


API: Final = Api(79, "ShareAcknowledge", 1, 2, handle=_handle)
