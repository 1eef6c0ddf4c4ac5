"""ConsumerGroupHeartbeat (key 68), versions 0 and 1.

Behavior: joins, stays in and leaves a consumer group (KIP-848); the answer says what the member may own when that has
changed or the member has said everything anew. A classic group with members becomes a consumer group when somebody
joins it; GROUP_ID_NOT_FOUND says why where it can't (its members are no consumers, group.consumer.migration.policy).

Version notes: 0 lets the server choose the member id, 1 has the client choose it (KIP-1082) and brings subscriptions by
regular expression (RE2 syntax).

Source: KIP-848, KIP-1082; Apache Kafka: `GroupMetadataManager.consumerGroupHeartbeat`, `convertToConsumerGroup`.

Not done: nothing.
"""

from collections.abc import Iterable
from typing import Any, Final

from logserver.coordinator import Heartbeat, Subscription, TopicPartition
from logserver.coordinator.member import JOINING
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

_CLIENT_CHOOSES_ID: Final = 1


async def _handle(call: Call, request: Struct) -> Response:
    _check(request)
    member_id = request.member_id
    if not member_id and call.version < _CLIENT_CHOOSES_ID and request.member_epoch == JOINING:
        member_id = call.services.broker.new_uuid()
    names, pattern = request.subscribed_topic_names, request.subscribed_topic_regex
    subscription = None
    if names is not None or pattern is not None:
        subscription = Subscription(tuple(names or ()), pattern or None)
    owned = request.topic_partitions
    answer = await call.services.groups.heartbeat(
        Heartbeat(
            group_id=request.group_id,
            member_id=member_id,
            member_epoch=request.member_epoch,
            instance_id=request.instance_id,
            rack_id=request.rack_id,
            rebalance_timeout_ms=request.rebalance_timeout_ms if request.rebalance_timeout_ms != -1 else None,
            subscription=subscription,
            assignor=request.server_assignor,
            owned=None
            if owned is None
            else frozenset((topic.topic_id, number) for topic in owned for number in topic.partitions),
            client_id=call.client_id,
            client_host=call.client_host,
        )
    )
    return {
        "member_id": answer.member_id,
        "member_epoch": answer.member_epoch,
        # Who leaves is not to come again.
        "heartbeat_interval_ms": 0
        if request.member_epoch < 0
        else call.services.groups.limits.heartbeat_interval_of(request.group_id),
        "assignment": None if answer.assigned is None else {"topic_partitions": topic_partitions(answer.assigned)},
    }


def _check(request: Struct) -> None:
    """Refuses what Apache Kafka's clients never send, as Apache Kafka does."""
    if not request.group_id.strip():
        raise LogServerError(ErrorCode.invalid_request, "the group id is empty")
    if request.member_epoch == JOINING and request.topic_partitions is None:
        raise LogServerError(ErrorCode.invalid_request, "a member that joins says that it owns no partitions")


def topic_partitions(owned: Iterable[TopicPartition]) -> list[dict[str, Any]]:
    """Returns partitions by topic id."""
    by_topic: dict[str, list[int]] = {}
    for topic_id, number in sorted(owned):
        by_topic.setdefault(topic_id, []).append(number)
    return [{"topic_id": topic_id, "partitions": numbers} for topic_id, numbers in by_topic.items()]


API: Final = Api(68, "ConsumerGroupHeartbeat", 0, 1, handle=_handle)
