"""Requests that come together are served for a while, and then it is the others' turn."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest
from logserver_segments.seams import Moved

from logserver.kafka_api.connection import Connection

from .raw_client import API_VERSIONS, request_frame
from .test_connection_buffer import CLIENT, Pipe, answered, feed, frames, listener

REQUESTS = 40


class Ticking:
    """A clock on which every request takes a millisecond."""

    def __init__(self) -> None:
        self._now_ms = 0.0

    def now_ms(self) -> int:
        return 0

    def monotonic_ms(self) -> float:
        self._now_ms += 1
        return self._now_ms

    def follow(self, moved: Moved) -> None: ...

    def unfollow(self, moved: Moved) -> None: ...


class PausingPipe(Pipe):
    """Knows whether more is to be read."""

    is_paused = False

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False


@pytest.fixture
async def pipe() -> PausingPipe:
    return PausingPipe()


@pytest.fixture
async def connection(pipe: PausingPipe) -> AsyncIterator[Connection]:
    common = listener()
    ticking = dataclasses.replace(common, services=dataclasses.replace(common.services, socket_clock=Ticking()))
    connection = Connection(ticking, pipe, "127.0.0.1:5000", "127.0.0.1:9092")
    yield connection
    connection.close()


async def passes(pipe: Pipe, count: int) -> list[int]:
    """Lets the event loop go round until so many answers are there; returns how many there were each time."""
    seen = [len(answered(pipe))]
    for _ in range(count):
        if seen[-1] == count:
            break
        await asyncio.sleep(0)
        seen.append(len(answered(pipe)))
    return seen


async def test_requests_that_come_together_have_several_turns(connection: Connection, pipe: PausingPipe) -> None:
    feed(connection, frames(REQUESTS))
    assert pipe.is_paused
    turns = await passes(pipe, REQUESTS)
    assert answered(pipe) == list(range(REQUESTS)) and not pipe.is_paused
    assert 5 < len(turns) < 15


async def test_what_comes_while_others_have_their_turn_is_served_behind(
    connection: Connection, pipe: PausingPipe
) -> None:
    whole = frames(REQUESTS)
    feed(connection, whole[:-7])
    feed(connection, whole[-7:])
    await passes(pipe, REQUESTS)
    assert answered(pipe) == list(range(REQUESTS)) and not pipe.is_paused


async def test_a_connection_that_ends_between_its_turns(connection: Connection, pipe: PausingPipe) -> None:
    feed(connection, frames(REQUESTS))
    served = answered(pipe)
    connection.closed()
    await asyncio.sleep(0)
    assert answered(pipe) == served


async def test_one_request_at_a_time_needs_no_turns(connection: Connection, pipe: PausingPipe) -> None:
    for number in range(REQUESTS):
        feed(connection, request_frame(API_VERSIONS, 3, CLIENT, number))
        assert len(answered(pipe)) == number + 1 and not pipe.is_paused
