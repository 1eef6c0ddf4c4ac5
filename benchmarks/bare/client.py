"""The bare client: a bidirectional stream of grpc.aio, messages made before, nothing done with what comes."""

import asyncio
from time import perf_counter
from typing import Any

import grpc

from benchmarks.bare.messages import messages
from benchmarks.bare.protocol import CREDIT_BYTES, GIVE, OPTIONS, TAKE, Terms
from benchmarks.support.usage import Meter


def _channel(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=OPTIONS)


async def produce(address: str, server_pid: int, terms: Terms, in_flight: int) -> Meter:
    """Sends the messages of the terms, so many unanswered at a time, until all are answered."""
    to_send = messages(terms.message_bytes, terms.messages)
    async with _channel(address) as channel:
        call: Any = channel.stream_stream(TAKE)()
        await call.write(terms.to_bytes())
        await call.read()
        unanswered = 0
        room = asyncio.Event()

        async def read() -> None:
            nonlocal unanswered
            for _ in range(terms.messages):
                await call.read()
                unanswered -= 1
                room.set()

        with Meter(server_pid) as meter:
            reading = asyncio.create_task(read())
            for message in to_send:
                while unanswered >= in_flight:
                    room.clear()
                    await room.wait()
                unanswered += 1
                await call.write(message)
            await reading
        await call.done_writing()
        await call.read()
    return meter


async def consume(address: str, server_pid: int, terms: Terms, credit_messages: int) -> Meter:
    """Receives the messages of the terms, giving credit back in so many messages."""
    owed = 0
    give_from = max(terms.messages * terms.message_bytes // max(credit_messages, 1), 1)
    async with _channel(address) as channel:
        call: Any = channel.stream_stream(GIVE)()
        await call.write(terms.to_bytes())
        # The server has made the messages.
        await call.read()
        with Meter(server_pid) as meter:
            await call.write(terms.credit.to_bytes(CREDIT_BYTES, "big"))
            for _ in range(terms.messages):
                owed += len(await call.read())
                if owed >= give_from:
                    await call.write(owed.to_bytes(CREDIT_BYTES, "big"))
                    owed = 0
        await call.done_writing()
        await call.read()
    return meter


async def round_trips(address: str, count: int, message_bytes: int, answer_bytes: int) -> list[float]:
    """Returns the seconds that each of so many single messages took to be answered, in their order."""
    message = bytes(message_bytes)
    took: list[float] = []
    async with _channel(address) as channel:
        call: Any = channel.stream_stream(TAKE)()
        await call.write(Terms(message_bytes, count, answer_bytes).to_bytes())
        await call.read()
        for _ in range(count):
            began = perf_counter()
            await call.write(message)
            await call.read()
            took.append(perf_counter() - began)
        await call.done_writing()
        await call.read()
    return took
