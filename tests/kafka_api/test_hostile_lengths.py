"""Requests that are cut short, and requests whose lengths lie: nothing happens but the end of their connections.

Every API at every version, on a real server; the frames are the same in every run.
"""

import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from logserver.kafka_api.codec import read_response
from logserver.kafka_api.codec.schema import header_is_flexible
from logserver.kafka_api.registry import APIS
from logserver.testing import LogServer

from .every_message import KINDS, World, api_versions
from .probing import check_well, hang_up, probe
from .raw_client import PRODUCE
from .test_every_message import UNKNOWN_SERVER_ERROR, error_codes
from .wire import framed, traced_request

REQUEST_LIMIT: Final = 100 << 20
"""The default of socket.request.max.bytes."""


def peak() -> int:
    """Returns the most resident memory that this process, the server in it, has had, in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def forget_peak() -> int:
    """Begins to look for the peak anew where the kernel can (proc(5), clear_refs); returns it as it is then."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    return peak()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with LogServer() as server:
        yield World(server)


@pytest.fixture(autouse=True)
def is_well(world: World, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After each test the server serves others, has failed at nothing, and has not taken more memory than a request
    may have bytes."""
    world.ensure()
    before = forget_peak()
    yield
    assert peak() - before < REQUEST_LIMIT
    check_well(world.server.kafka)
    # Those of the test itself; by now `caplog.records` are others.
    said = caplog.get_records("call")
    assert not [record.getMessage() for record in said if record.levelno >= logging.ERROR]


def closings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("connection closed")]


@pytest.mark.parametrize(("api_key", "version"), api_versions())
def test_a_request_cut_short_closes_its_connection(
    world: World, api_key: int, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    message = world.message(api_key, version, "sensible")
    frame = bytes(traced_request(api_key, version, message, 1, has_unknown_tags=True).data)
    for size in range(len(frame)):
        assert probe(world.server.kafka, framed(frame[:size])) == b"", size
    # One line for each says why.
    assert len(closings(caplog)) == len(frame)


@pytest.mark.parametrize(("api_key", "version"), api_versions())
def test_a_client_that_goes_in_the_middle_of_a_request_leaves_nothing(
    world: World, api_key: int, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = framed(bytes(traced_request(api_key, version, world.message(api_key, version, "sensible"), 1).data))
    for size in range(len(whole)):
        hang_up(world.server.kafka, whole[:size])
    assert not closings(caplog)


@pytest.mark.parametrize(("api_key", "version"), api_versions())
def test_lengths_that_lie(world: World, api_key: int, version: int) -> None:
    lie_about_everything(world, api_key, version, "sensible")


@pytest.mark.parametrize("version", range(APIS[PRODUCE].lowest, APIS[PRODUCE].highest + 1))
def test_lengths_that_lie_behind_a_good_request(world: World, version: int) -> None:
    # What the next request has in common with the last one is not read again.
    message = world.message(PRODUCE, version, "sensible")
    good = traced_request(PRODUCE, version, message, 1)
    for length in good.lengths:
        for frame in good.lies(length):
            answer = probe(world.server.kafka, framed(frame), before=framed(bytes(good.data)))
            check_answer(PRODUCE, version, answer)


@pytest.mark.parametrize("version", range(9, APIS[PRODUCE].highest + 1))
@pytest.mark.parametrize("byte", [b"\xff", b"\x80"])
def test_a_length_that_never_ends(world: World, version: int, byte: bytes) -> None:
    traced = traced_request(PRODUCE, version, world.message(PRODUCE, version, "sensible"), 1)
    (length,) = (found for found in traced.lengths if found.what == "records")
    frame = bytes(traced.data[: length.start]) + byte * 1_000_000
    assert probe(world.server.kafka, framed(frame)) == b""


@pytest.mark.parametrize("version", [3, 9, 12])
@pytest.mark.parametrize("api_key", [0, 1, 3, 8])
def test_requests_that_begin_as_the_one_before(world: World, api_key: int, version: int) -> None:
    version = min(max(version, APIS[api_key].lowest), APIS[api_key].highest)
    good = bytes(traced_request(api_key, version, world.message(api_key, version, "sensible"), 1).data)
    for size in range(len(good)):
        assert probe(world.server.kafka, framed(good[:size]), before=framed(good)) == b"", size


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS[2:])
@pytest.mark.parametrize(("api_key", "version"), api_versions())
def test_lengths_that_lie_in_arbitrary_requests(world: World, api_key: int, version: int, kind: str) -> None:
    lie_about_everything(world, api_key, version, kind)


@pytest.mark.parametrize("version", range(APIS[PRODUCE].lowest, APIS[PRODUCE].highest + 1))
def test_bytes_that_are_anything_behind_a_good_request(world: World, version: int) -> None:
    rng = random.Random(version)
    frame = bytes(traced_request(PRODUCE, version, world.message(PRODUCE, version, "sensible"), 1).data)
    for _ in range(150):
        changed = bytearray(frame)
        for _ in range(rng.randrange(1, 3)):
            changed[rng.randrange(4, len(frame))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        check_answer(PRODUCE, version, probe(world.server.kafka, framed(bytes(changed)), before=framed(frame)))


@pytest.mark.long
@pytest.mark.parametrize(("api_key", "version"), api_versions())
def test_bytes_that_are_anything(world: World, api_key: int, version: int) -> None:
    rng = random.Random(f"{api_key} {version}")
    for kind in KINDS[:-1]:
        frame = bytes(traced_request(api_key, version, world.message(api_key, version, kind), 1).data)
        for _ in range(100):
            changed = bytearray(frame)
            for _ in range(rng.randrange(1, 4)):
                # The key and the version stay.
                changed[rng.randrange(4, len(frame))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            check_answer(api_key, version, probe(world.server.kafka, framed(bytes(changed))))


def lie_about_everything(world: World, api_key: int, version: int, kind: str) -> None:
    message = world.message(api_key, version, kind)
    traced = traced_request(api_key, version, message, 1, has_unknown_tags=True)
    for length in traced.lengths:
        for frame in traced.lies(length):
            check_answer(api_key, version, probe(world.server.kafka, framed(frame)))


def check_answer(api_key: int, version: int, answer: bytes) -> None:
    """Checks that an answer, where there is one, is whole and no confession."""
    if answer:
        assert int.from_bytes(answer[:4]) == len(answer) - 4
        behind = 9 if header_is_flexible(api_key, version, "response") else 8
        found = read_response(api_key, version, memoryview(answer)[behind:])
        assert UNKNOWN_SERVER_ERROR not in error_codes(found)
