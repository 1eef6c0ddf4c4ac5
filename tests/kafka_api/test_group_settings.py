"""Settings of single groups take effect in the groups."""

from typing import Any

from logserver.coordinator import GroupCoordinator
from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.codec.schema import message_schema
from logserver.testing import LogServer

from .admin import DELETE, GROUP, SET, alter, create
from .raw_client import RawClient

CONSUMER_GROUP_HEARTBEAT = 68


def heartbeat(client: RawClient, group: str, member: str, epoch: int = 0) -> Struct:
    request = {
        "group_id": group,
        "member_id": member,
        "member_epoch": epoch,
        "rebalance_timeout_ms": 30_000,
        "subscribed_topic_names": ["t"],
        "topic_partitions": [],
    }
    known = {field.name for field in message_schema(CONSUMER_GROUP_HEARTBEAT, 1, "request").fields}
    assert known >= set(request)
    response: Struct = client.call(CONSUMER_GROUP_HEARTBEAT, 1, request)
    assert response.error_code == 0, response
    return response


def test_the_operator_sets_bounds() -> None:
    bounds = {"group.consumer.min.heartbeat.interval.ms": "3000", "group.consumer.max.assignment.interval.ms": "500"}
    with LogServer(settings=bounds) as server, RawClient(server.kafka) as client:

        def code(name: str, value: str) -> ErrorCode:
            return ErrorCode(alter(client, GROUP, "g", (name, SET, value)).error_code)

        assert code("consumer.heartbeat.interval.ms", "2999") is ErrorCode.invalid_config
        assert code("consumer.heartbeat.interval.ms", "3000") is ErrorCode.none
        assert code("consumer.assignment.interval.ms", "501") is ErrorCode.invalid_config
        assert code("consumer.assignment.interval.ms", "500") is ErrorCode.none
        # Kafka's own bounds.
        assert code("consumer.session.timeout.ms", "60001") is ErrorCode.invalid_config
        assert code("consumer.session.timeout.ms", "60000") is ErrorCode.none


def session_left_ms(server: LogServer, group: str) -> int:
    async def left(daemon: Any) -> int:
        groups: GroupCoordinator = daemon._groups
        described = await groups.describe(group)
        left = described.members[0].session_left_ms
        assert left is not None
        return left

    return server.call(left)


def test_sessions_and_heartbeats(server: LogServer, client: RawClient) -> None:
    create(client, {"name": "t"})
    settings = [("consumer.session.timeout.ms", SET, "60000"), ("consumer.heartbeat.interval.ms", SET, "7000")]
    assert alter(client, GROUP, "own", *settings).error_code == 0
    for group in ("own", "plain"):
        joined = heartbeat(client, group, "m")
        assert joined.heartbeat_interval_ms == (7000 if group == "own" else 5000)
    assert 45_000 < session_left_ms(server, "own") <= 60_000
    assert 0 < session_left_ms(server, "plain") <= 45_000
    # From the next heartbeat on a change is in force for members that are there.
    alter(client, GROUP, "own", ("consumer.session.timeout.ms", DELETE, None))
    heartbeat(client, "own", "m", joined.member_epoch)
    assert 0 < session_left_ms(server, "own") <= 45_000
