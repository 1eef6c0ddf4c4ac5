"""Every API can be made to fail, and its response says with what; nothing is done."""

from collections.abc import Iterator

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.registry import APIS
from logserver.testing import LogServer

from .every_message import World, api_versions
from .raw_client import API_VERSIONS, RawClient
from .test_every_message import _decoded
from .wire import framed, traced_request

ERROR = ErrorCode.policy_violation


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with LogServer() as server:
        yield World(server)


@pytest.mark.parametrize(("api_key", "version"), api_versions())
def test_a_request_fails_with_the_error_that_was_named(world: World, api_key: int, version: int) -> None:
    message = world.message(api_key, version, "sensible")
    frame = traced_request(api_key, version, message, 7).data
    fault = world.server.fail(f"Kafka.{APIS[api_key].name}", ERROR)
    with RawClient(world.server.kafka) as client:
        client.send_bytes(framed(bytes(frame)))
        found = _decoded(api_key, version, client.receive_frame(), 7)
    assert fault.failed == 1
    assert f"error_code={ERROR.value}" in repr(found)


def test_a_connection_is_served_on_as_before(world: World) -> None:
    with RawClient(world.server.kafka) as client:
        world.server.fail("ApiVersions", ERROR)
        codes = [client.call(API_VERSIONS, 2, {}).error_code for _ in range(3)]
    assert codes == [ERROR.value, 0, 0]
