"""Metrics of clients: subscriptions, what is sent, and where it goes."""

from collections.abc import Iterator
from typing import Any

import pytest
from logserver_records.codec import decode_batch

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.codec.schema import ZERO_UUID
from logserver.testing import LogServer

from .admin import CLIENT_METRICS, GET_TELEMETRY_SUBSCRIPTIONS, PUSH_TELEMETRY, SET, alter
from .raw_client import API_VERSIONS, RawClient

ME = "AAAAAAAAAAAAAAAAAAAAZw"
SAID = {"client_software_name": "raw", "client_software_version": "1.2"}


@pytest.fixture
def server() -> Iterator[LogServer]:
    """A server that wants metrics."""
    with LogServer(settings={"client.metrics.topic": "metrics", "telemetry.max.bytes": "100"}) as server:
        yield server


def asked(client: RawClient, instance_id: str = ME) -> Struct:
    response: Struct = client.call(GET_TELEMETRY_SUBSCRIPTIONS, 0, {"client_instance_id": instance_id})
    return response


def push(client: RawClient, subscription_id: int, instance_id: str = ME, **fields: Any) -> ErrorCode:
    request = {"client_instance_id": instance_id, "subscription_id": subscription_id, "metrics": b"m", **fields}
    return ErrorCode(client.call(PUSH_TELEMETRY, 0, request).error_code)


def keys(client: RawClient) -> set[int]:
    return {found.api_key for found in client.call(API_VERSIONS, 4, SAID).api_keys}


def test_clients_learn_of_it_where_metrics_have_somewhere_to_go(client: RawClient) -> None:
    both = {GET_TELEMETRY_SUBSCRIPTIONS, PUSH_TELEMETRY}
    assert both <= keys(client)
    with LogServer() as server, RawClient(server.kafka) as other:
        assert not both & keys(other)


def test_without_subscriptions_nothing_is_asked_for(client: RawClient) -> None:
    response = asked(client)
    assert (response.error_code, response.client_instance_id) == (0, ME)
    assert (list(response.requested_metrics), response.push_interval_ms) == ([], 300_000)
    assert (response.accepted_compression_types, response.telemetry_max_bytes) == ([4, 3, 1, 2], 100)
    assert response.delta_temporality


def test_a_client_without_an_id_gets_one(client: RawClient) -> None:
    first, second = (asked(client, ZERO_UUID).client_instance_id for _ in range(2))
    assert len({first, second, ZERO_UUID}) == 3


def test_subscriptions_that_match_are_put_together(client: RawClient) -> None:
    client.call(API_VERSIONS, 4, SAID)
    subscriptions = {
        "everybody": ("9000", "", "a.,b."),
        "this_software": ("7000", "client_software_name=raw,client_software_version=1[.].*", "b.,c."),
        "this_id": ("8000", "client_id=ra.,client_source_address=127.*,client_instance_id=A+Zw", "d."),
        "another": ("1000", "client_software_name=ra", "x."),
    }
    for name, (interval, match, metrics) in subscriptions.items():
        settings = [("interval.ms", SET, interval), ("metrics", SET, metrics), ("match", SET, match)]
        assert alter(client, CLIENT_METRICS, name, *settings).error_code == 0
    response = asked(client)
    assert (response.push_interval_ms, response.requested_metrics) == (7000, ["a.", "b.", "c.", "d."])
    # A change is told without waiting.
    alter(client, CLIENT_METRICS, "everybody", ("metrics", SET, "*"))
    changed = asked(client)
    assert changed.requested_metrics == ["*"]
    assert changed.subscription_id != response.subscription_id


def test_asking_again_too_soon(client: RawClient) -> None:
    assert asked(client).error_code == 0
    assert asked(client).error_code == ErrorCode.throttling_quota_exceeded.value


def test_metrics_go_into_the_topic(server: LogServer, client: RawClient) -> None:
    client.call(API_VERSIONS, 4, SAID)
    subscription_id = asked(client).subscription_id
    assert push(client, subscription_id, metrics=b"first", compression_type=4) is ErrorCode.none
    assert push(client, subscription_id, metrics=b"last", terminating=True) is ErrorCode.none

    async def stored(daemon: Any) -> list[Any]:
        log = daemon.broker.partition("metrics", 0).log
        found = log.read(0, 1 << 20)
        data = bytes((found if isinstance(found, tuple) else await found).data)
        first = decode_batch(data, 0, max_decompressed_bytes=1 << 20)
        size = 12 + int.from_bytes(data[8:12], "big")
        return [*first, *decode_batch(data, size, max_decompressed_bytes=1 << 20)]

    records = server.call(stored)
    assert [(record.key, record.value) for record in records] == [(ME.encode(), b"first"), (ME.encode(), b"last")]
    headers = dict(records[0].headers)
    assert headers.pop("client_source_port").isdigit()
    assert headers == {
        "client_instance_id": ME.encode(),
        "client_id": b"raw",
        "client_software_name": b"raw",
        "client_software_version": b"1.2",
        "client_source_address": b"127.0.0.1",
        "compression": b"zstd",
        "terminating": b"false",
    }


def test_what_is_not_taken(client: RawClient) -> None:
    assert push(client, 0, ZERO_UUID) is ErrorCode.invalid_request
    assert push(client, asked(client).subscription_id + 1) is ErrorCode.unknown_subscription_id
    # Who is told so may ask again at once.
    subscription_id = asked(client).subscription_id
    assert push(client, subscription_id) is ErrorCode.throttling_quota_exceeded
    for number, (code, fields) in enumerate(
        (
            (ErrorCode.unsupported_compression_type, {"compression_type": 9}),
            (ErrorCode.telemetry_too_large, {"metrics": b"m" * 101}),
            (ErrorCode.none, {"metrics": b"m" * 100, "terminating": True}),
        )
    ):
        other = f"AAAAAAAAAAAAAAAAAAAA{number}Q"
        assert push(client, asked(client, other).subscription_id, other, **fields) is code
    # Behind its last one a client sends nothing more.
    assert push(client, 0, other) is ErrorCode.invalid_request
