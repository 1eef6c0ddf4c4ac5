"""Whatever is no Kafka closes its connection, with one line in the log that says what it looked like."""

import logging

import pytest

from logserver.testing import LogServer

from .probing import check_well, probe
from .raw_client import API_VERSIONS, METADATA, request_frame
from .wire import framed

HEAD = b"\x00\x00\x00\x01\x00\x01c"
"""Correlation id and client id of a request."""

BEGINNINGS = {
    "http": (b"GET / HTTP/1.1\r\nHost: localhost:9092\r\n\r\n", "an HTTP request; this port speaks Kafka's protocol"),
    "http with a body": (b"POST /topics HTTP/1.1\r\n\r\n{}", "an HTTP request"),
    "http2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an HTTP request"),
    "tls": (bytes.fromhex("16030100f8010000f40303") + bytes(240), "a TLS handshake; this port speaks plaintext"),
    "amqp": (b"AMQP\x00\x00\x09\x01", "an AMQP client"),
    "redis": (b"*1\r\n$4\r\nPING\r\n", "a Redis client"),
    "ssh": (b"SSH-2.0-OpenSSH_9.6\r\n", "no Kafka client: it begins with 53 53 48 2d"),
    "zeros": (bytes(16), "no Kafka client: it begins with 00 00 00 00"),
    "a negative length": (b"\xff\xff\xff\xff" + bytes(12), "no Kafka client: it begins with ff ff ff ff"),
    "the least length": (b"\x80\x00\x00\x00" + bytes(12), "no Kafka client: it begins with 80 00 00 00"),
    "an absurd length": (b"\x7f\xff\xff\xff" + bytes(12), "no Kafka client: it begins with 7f ff ff ff"),
    "a length over the limit": (b"\x06\x40\x00\x01" + bytes(12), "no Kafka client: it begins with 06 40 00 01"),
    "no header": (b"\x00\x00\x00\x03\x00\x12\x00", "a request of 3 bytes has no header"),
    "an unknown key": (
        framed(b"\x7f\x00\x00\x00" + HEAD),
        "no request that this server knows: version 0 of API",
    ),
    "an unknown version": (framed(b"\x00\x03\x7f\xff" + HEAD), "version 32767 of API key 3 is not served"),
    "a negative version": (framed(b"\x00\x03\xff\xff" + HEAD), "version -1 of API key 3 is not served"),
    "a client id of no length": (
        b"\x00\x00\x00\x0a\x00\x03\x00\x04\x00\x00\x00\x01\xff\xfe",
        "client id has the length -2",
    ),
    "a client id that is cut": (
        b"\x00\x00\x00\x0a\x00\x03\x00\x04\x00\x00\x00\x01\x7f\xff",
        "the client id claims 32767",
    ),
    "billions of topics": (framed(b"\x00\x03\x00\x04" + HEAD + b"\x7f\xff\xff\xff\x00"), "claims 2147483647"),
    "billions of compact topics": (
        framed(b"\x00\x03\x00\x09" + HEAD + b"\x00\xff\xff\xff\xff\x07"),
        "topics claims 2147483646 elements",
    ),
    "tags without an end": (
        framed(b"\x00\x03\x00\x09" + HEAD + b"\xff\xff\xff\xff\x0f"),
        "4294967295 tagged fields",
    ),
}


@pytest.mark.parametrize("what", BEGINNINGS)
def test_beginnings(server: LogServer, caplog: pytest.LogCaptureFixture, what: str) -> None:
    data, shown = BEGINNINGS[what]
    assert probe(server.kafka, data) == b""
    (line,) = said(caplog)
    assert shown in line and line.startswith("connection closed peer=127.0.0.1:")
    check_well(server.kafka)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\xff\xff\xff\xff", "a request claims -1 bytes, socket.request.max.bytes=104857600"),
        (b"\x00\x00\x00\x00", "a request claims 0 bytes"),
        (b"\x06\x40\x00\x01", "a request claims 104857601 bytes"),
        (b"GET / HTTP/1.1\r\n\r\n", "a request claims 1195725856 bytes"),
        (
            framed(b"\x00\x03\x00\x04" + HEAD + b"\x7f\xff\xff\xff\x00"),
            "a request can't be read: topics claims",
        ),
        (framed(b"\x7f\x00\x00\x00" + HEAD), "version 0 of API key 32512 is not served"),
    ],
)
def test_what_comes_behind_a_good_request(
    server: LogServer, caplog: pytest.LogCaptureFixture, data: bytes, shown: str
) -> None:
    good = request_frame(API_VERSIONS, 0, {})
    # The good one is answered first.
    assert probe(server.kafka, good + data)
    (line,) = said(caplog)
    assert shown in line
    check_well(server.kafka)


def test_a_request_that_is_as_large_as_may_be(caplog: pytest.LogCaptureFixture) -> None:
    with LogServer(settings={"socket.request.max.bytes": "2000"}) as server:
        frame = request_frame(METADATA, 4, {"topics": []})
        for size in (2000, 2001):
            padded = size.to_bytes(4) + frame[4:] + bytes(size - len(frame) + 4)
            assert bool(probe(server.kafka, padded)) == (size == 2000)
    (line,) = said(caplog)
    assert "no Kafka client" in line


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
