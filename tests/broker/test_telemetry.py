"""Who is asked for metrics, how often, and whose sending is kept track of."""

from pathlib import Path

import pytest

from logserver.broker.configs import ConfigKind
from logserver.broker.telemetry import ClientTelemetry, TelemetryClient
from logserver.errors import ErrorCode

from .nodes import BrokerNode
from .test_topics import refused


def client(number: int = 0, **fields: str) -> TelemetryClient:
    plain = TelemetryClient(f"AAAAAAAAAAAAAAAAAAAA{number}Q", "c", "java", "1.0", "127.0.0.1", "5000")
    return plain._replace(**fields)


async def subscribe_all(node: BrokerNode, interval_ms: int, match: str = "") -> None:
    settings = {"metrics": "*", "interval.ms": str(interval_ms), "match": match}
    await node.broker.configs.change(ConfigKind.CLIENT_METRICS, "s", lambda old: settings)


def push(telemetry: ClientTelemetry, who: TelemetryClient, subscription_id: int, **more: bool) -> None:
    telemetry.check_push(who, subscription_id, 0, 10, terminating=more.get("terminating", False))


async def test_the_interval_is_kept(node: BrokerNode) -> None:
    await subscribe_all(node, 1000)
    telemetry = node.broker.telemetry
    for _ in range(3):
        _, subscription = telemetry.subscribe(client())
        push(telemetry, client(), subscription.subscription_id)
        with refused(ErrorCode.throttling_quota_exceeded, "every 1000 ms"):
            push(telemetry, client(), subscription.subscription_id)
        node.clock.advance(999)
        with refused(ErrorCode.throttling_quota_exceeded, "every 1000 ms"):
            telemetry.subscribe(client())
        node.clock.advance(1)
        push(telemetry, client(), subscription.subscription_id)
        node.clock.advance(1000)


async def test_a_last_push_may_come_early(node: BrokerNode) -> None:
    await subscribe_all(node, 1000)
    telemetry = node.broker.telemetry
    _, subscription = telemetry.subscribe(client())
    push(telemetry, client(), subscription.subscription_id)
    push(telemetry, client(), subscription.subscription_id, terminating=True)
    node.clock.advance(1000)
    with refused(ErrorCode.invalid_request, "its last"):
        push(telemetry, client(), subscription.subscription_id)


async def test_a_changed_subscription_is_another_one(node: BrokerNode) -> None:
    await subscribe_all(node, 1000)
    telemetry = node.broker.telemetry
    _, old = telemetry.subscribe(client())
    await subscribe_all(node, 2000)
    with refused(ErrorCode.unknown_subscription_id, "not the client's subscription any more"):
        push(telemetry, client(), old.subscription_id)
    _, new = telemetry.subscribe(client())
    assert (old.interval_ms, new.interval_ms) == (1000, 2000)
    assert -(2**31) <= new.subscription_id < 2**31


@pytest.mark.parametrize(
    ("match", "is_asked"),
    [
        ("", True),
        ("client_id=c", True),
        ("client_id=", False),
        ("client_software_name=ja", False),
        ("client_software_name=ja.*,client_source_port=5[0-9]+", True),
        ("client_software_name=ja.*,client_source_port=6.*", False),
    ],
)
async def test_all_of_a_match_has_to_fit(node: BrokerNode, match: str, is_asked: bool) -> None:
    await subscribe_all(node, 1000, match)
    _, subscription = node.broker.telemetry.subscribe(client())
    assert subscription.metrics == (("*",) if is_asked else ())
    assert subscription.interval_ms == (1000 if is_asked else 300_000)


async def test_only_so_many_clients_are_kept_track_of(tmp_path: Path) -> None:
    node = BrokerNode(tmp_path / "data", settings={"client.metrics.max.instances": "2"})
    await node.start()
    telemetry = node.broker.telemetry
    for number in range(3):
        telemetry.subscribe(client(number))
    # The first one is forgotten, and may ask again.
    telemetry.subscribe(client(0))
    with refused(ErrorCode.throttling_quota_exceeded, "sooner"):
        telemetry.subscribe(client(2))
    await node.stop()
