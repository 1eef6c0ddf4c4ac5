"""How long a client lets a request take."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from logserver.errors import ErrorCode, LogServerError

T = TypeVar("T")


async def within(timeout_ms: int, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Does work that changes something, and returns its result. It goes on when the time is over, and when the client's
    connection ends: half of a change helps nobody.

    Raises:
        LogServerError: REQUEST_TIMED_OUT; at once, without any work, where the time is 0 or less.
    """
    check_time(timeout_ms)
    task = asyncio.ensure_future(work())
    await asyncio.wait((task,), timeout=timeout_ms / 1000)
    if not task.done():
        raise _late(timeout_ms)
    return task.result()


def check_time(timeout_ms: int) -> None:
    """Refuses what there is no time for.

    Raises:
        LogServerError: REQUEST_TIMED_OUT.
    """
    if timeout_ms <= 0:
        raise _late(timeout_ms)


def _late(timeout_ms: int) -> LogServerError:
    return LogServerError(ErrorCode.request_timed_out, f"it was not done within the {timeout_ms} ms of the request")
