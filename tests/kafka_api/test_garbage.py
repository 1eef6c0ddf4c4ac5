"""What a request has held is free when it is answered: megabytes must not wait for the garbage collector."""

import gc
from collections.abc import Iterator

import pytest

from logserver.kafka_api.apis import produce as produce_module
from logserver.kafka_api.connection import _Request
from logserver.kafka_api.pending_fetch import FetchedPartition, PendingFetch
from logserver.kafka_api.produce_quick import _Waiting
from logserver.testing import LogServer

from .fetching import fetch, fetch_request, target
from .raw_client import FETCH, RawClient
from .records import batch, create_topic, produce, stored

KINDS = (PendingFetch, FetchedPartition, _Request, _Waiting, produce_module._Result, produce_module._Production)


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left(server: LogServer) -> list[object]:
    async def between_requests(daemon: object) -> list[object]:
        return [one for one in gc.get_objects() if isinstance(one, KINDS)]

    return server.call(between_requests)


def test_after_fetches(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stored(client, batch("a"))
    for wanted in (target(0), target(9), target(0, topic="nowhere"), target(0, partition=3)):
        fetch(client, wanted)
        fetch(client, wanted, session_epoch=0)
    client.send(FETCH, 12, fetch_request(target(1), max_wait_ms=30_000))
    with RawClient(server.kafka) as other:
        stored(other, batch("b"))
    client.receive()
    fetch(client, target(2), max_wait_ms=2)
    assert not left(server)


def test_after_produces(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    for acks in (-1, 1):
        for records, topic in ((batch("a"), "t"), (batch("a")[:-1], "t"), (None, "t"), (batch("a"), "nowhere")):
            produce(client, records, topic, acks=acks)
    assert not left(server)
