"""Connections that nothing comes or goes on are closed, however many; others are not."""

from contextlib import ExitStack

from logserver.testing import LogServer

from .fetching import fetch_request, target
from .raw_client import FETCH, METADATA, RawClient
from .records import create_topic

CONNECTIONS = 150
EVERYTHING = {"topics": None, "allow_auto_topic_creation": False}


def test_idle_connections_are_closed() -> None:
    settings = {"connections.max.idle.ms": "500"}
    with LogServer(settings=settings) as server, ExitStack() as stack:
        create_topic(server)
        waiting = stack.enter_context(RawClient(server.kafka))
        # Longer than a connection may be idle: it is not, while a request of it is under way.
        waiting.send(FETCH, 12, fetch_request(target(0), max_wait_ms=2000))
        idle = []
        for number in range(CONNECTIONS):
            client = stack.enter_context(RawClient(server.kafka))
            idle.append(client)
            if number % 2:
                client.call(METADATA, 12, EVERYTHING)
            elif number % 4:
                # Half a request is none.
                client.send_bytes(b"\x00\x00\x00\x20\x00\x03")
        for client in idle:
            assert client.is_closed()
        assert waiting.receive().error_code == 0
        assert waiting.is_closed()
