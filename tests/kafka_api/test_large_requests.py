"""What the largest requests take of a server process: memory in proportion to the limits, whatever they hold."""

import select
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from logserver.kafka_api.registry import APIS
from tests.daemon.processes import ServerProcess

from .largest import RemoteWorld, filled
from .probing import check_well
from .raw_client import (
    FETCH,
    FIND_COORDINATOR,
    METADATA,
    OFFSET_COMMIT,
    OFFSET_FETCH,
    PRODUCE,
    RawClient,
    request_frame,
)
from .wire import framed, varint

FRAME_BYTES: Final = 104_857_600
"""socket.request.max.bytes."""
MOST_ELEMENTS: Final = 200_000
"""request.max.elements."""
BUFFERS_BYTES: Final = 200 << 20
"""The buffer of a connection is doubled until a frame fits, so for a moment there are two of them."""
ELEMENT_BYTES: Final = 1024
ANSWERED_BYTES: Final = 3 * ELEMENT_BYTES
"""Of an element, and what is made of it to be answered."""
LONG_S: Final = 60.0
LOOK_S: Final = 0.002
"""So often the server's memory is looked at."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("large") / "data").start()
    yield process
    process.stop()


def full(head: bytes, count_of: str, element: bytes) -> bytes:
    """Returns a frame as large as may be: a head, the count of the elements behind it, and these."""
    count = (FRAME_BYTES - len(head) - 100) // len(element)
    written = varint(count + 1) if count_of == "varint" else count.to_bytes(4)
    return framed(head + written + element * count + bytes(50))


def header(api_key: int, version: int, tags: bytes = b"") -> bytes:
    return api_key.to_bytes(2) + version.to_bytes(2) + b"\x00\x00\x00\x01\x00\x01c" + tags


TEXT = "😀".encode() + b"a" * 32_763
HOSTILE = {
    "topics of two bytes": (header(METADATA, 9, b"\x00"), "varint", b"\x01\x00"),
    "numbers": (header(OFFSET_FETCH, 1) + b"\x00\x01g\x00\x00\x00\x01\x00\x01t", "int32", b"\x01\x02\x03\x04"),
    "topics without partitions": (header(FETCH, 4) + bytes(17), "int32", bytes(6)),
    "partitions without records": (
        header(PRODUCE, 9, b"\x00") + b"\x00\xff\xff\x00\x00\x75\x30\x02\x02t",
        "varint",
        b"\x00\x00\x00\x00\x00\x00",
    ),
    "text of four bytes a character": (header(FIND_COORDINATOR, 4, b"\x00") + b"\x00", "varint", varint(32_768) + TEXT),
}


def peak_of(server: ServerProcess, data: bytes) -> tuple[int, bytes]:
    """Sends a frame; returns by how much the server's memory has grown at most until its answer or the end of the
    connection begins, and what that begins with."""
    host, _, port = server.kafka.rpartition(":")
    before = most = server.rss_anon_bytes
    with closing(socket.create_connection((host, int(port)), timeout=LONG_S)) as connection:
        connection.setblocking(False)
        left = memoryview(data)
        while True:
            wants = (connection,) if left else ()
            readable, writable, _ = select.select((connection,), wants, (), LONG_S if left else LOOK_S)
            most = max(most, server.rss_anon_bytes)
            if readable:
                try:
                    return most - before, connection.recv(1 << 16)
                except ConnectionResetError:
                    return most - before, b""
            if writable:
                left = left[connection.send(left) :]


@pytest.mark.parametrize("what", HOSTILE)
def test_a_frame_of_millions_of_tiny_things_takes_what_its_bytes_take(server: ServerProcess, what: str) -> None:
    peak, answer = peak_of(server, full(*HOSTILE[what]))
    assert not answer
    assert peak < BUFFERS_BYTES + MOST_ELEMENTS * ELEMENT_BYTES
    check_well(server.kafka)
    assert "request.max.elements=200000" in server.errors[-1]


def test_requests_of_a_large_cluster_are_answered(server: ServerProcess) -> None:
    names = [{"name": f"topic-{number}"} for number in range(10_000)]
    asked = {"fetch_offset": 0, "partition_max_bytes": 1 << 20}
    topics = [
        {"topic": f"topic-{topic}", "partitions": [asked | {"partition": number} for number in range(1000)]}
        for topic in range(100)
    ]
    offsets = [{"partition_index": number, "committed_offset": 1, "committed_metadata": ""} for number in range(10_000)]
    commit = {"group_id": "g", "generation_id_or_member_epoch": -1, "topics": [{"name": "t", "partitions": offsets}]}
    with RawClient(server.kafka, timeout=LONG_S) as client:
        metadata = client.call(METADATA, 9, {"topics": names, "allow_auto_topic_creation": False})
        assert len(metadata.topics) == 10_000
        fetched = client.call(FETCH, 12, {"max_bytes": 1 << 20, "topics": topics, "session_epoch": -1})
        assert sum(len(topic.partitions) for topic in fetched.responses) == 100_000
        assert len(client.call(OFFSET_COMMIT, 9, commit).topics[0].partitions) == 10_000


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("api_key", APIS)
def test_the_longest_lists_of_every_request(tmp_path: Path, api_key: int) -> None:
    version = APIS[api_key].highest
    with ServerProcess(tmp_path / "data") as server:
        for what, message in filled(RemoteWorld(server.kafka), api_key, version, MOST_ELEMENTS - 1_000):
            peak, _ = peak_of(server, request_frame(api_key, version, message))
            assert peak < MOST_ELEMENTS * ANSWERED_BYTES, what
            check_well(server.kafka)
        assert not [line for line in server.errors if "request failed" in line or "Traceback" in line]
