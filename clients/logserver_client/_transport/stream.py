"""Running a bidirectional stream until it ends, one way or another."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import grpc

from logserver_client._transport.status import error_from_call
from logserver_client.errors import LogServerError, connection_failed

_CLOSE_TIMEOUT_S: Final = 1.0


async def run_stream(
    call: Any, address: str, write: Coroutine[Any, Any, None], read: Coroutine[Any, Any, None]
) -> LogServerError:
    """Runs the two sides of a call until it ends and returns why it did.

    When `write` returns, which it should after `done_writing`, the server has a second to send the rest.

    Raises:
        Exception: what one of the sides raised other than the call's own failure.
    """
    reader = asyncio.ensure_future(read)
    writer = asyncio.ensure_future(write)
    try:
        await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        if not reader.done() and not writer.cancelled() and writer.exception() is None:
            await asyncio.wait({reader}, timeout=_CLOSE_TIMEOUT_S)
    finally:
        # A call that outlives its tasks is one that answers into a closed loop.
        call.cancel()
        reader.cancel()
        writer.cancel()
        ends = await asyncio.gather(reader, writer, return_exceptions=True)
    for end in ends:
        if isinstance(end, grpc.aio.AioRpcError):
            return error_from_call(end, address)
    for end in ends:
        # InvalidStateError: writing to a call that has ended.
        if isinstance(end, Exception) and not isinstance(end, asyncio.InvalidStateError):
            raise end
    return connection_failed(f"{address} ended the stream")
