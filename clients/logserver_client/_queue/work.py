"""What both forms of a worker share: how a handler ends, and what that means for its message."""

import logging
from typing import Final

from logserver_client._queue.message import BaseMessage, milliseconds

_log = logging.getLogger("logserver_client")

_MOST_REASON: Final = 500
"""Characters of an exception's text that go into the story of a message."""

EXTEND_PART: Final = 3
"""Locks are extended when a third of them is over, so that one attempt may fail."""


class Reject(Exception):
    """Raised by a handler: the message is of no use to anybody, and goes to the dead letters."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Exception):
    """Raised by a handler: the message has failed, and is to be tried again.

    Args:
        in_seconds: when; None: as the queue's policy says.
        reason: for the story of the message.
    """

    def __init__(self, in_seconds: float | None = None, reason: str = "") -> None:
        super().__init__(in_seconds, reason)
        if in_seconds is not None:
            milliseconds("in_seconds", in_seconds)
        self.in_seconds = in_seconds
        self.reason = reason


def conclude(message: BaseMessage, error: BaseException | None) -> None:
    """Settles a message by how its handler has ended, unless the handler has settled it by itself.

    Raises:
        ClientClosed: it took too long: the message has been given back.
    """
    if message.is_settled:
        return
    match error:
        case None:
            message.ack()
        case Reject():
            message.reject(error.reason)
        case Retry():
            message.nack(retry_in=error.in_seconds, reason=error.reason)
        case Exception():
            _log.error(
                "a handler has failed partition=%d offset=%d deliveries=%d",
                message.partition,
                message.offset,
                message.deliveries,
                exc_info=error,
            )
            message.nack(reason=f"{type(error).__name__}: {error}"[:_MOST_REASON])
        case _:
            # Interrupted, which is not the message's fault.
            message.release()


def check_worker(concurrency: int, grace: float, *, auto_ack: bool) -> None:
    """Checks the settings of a worker.

    Raises:
        ValueError: one is out of its range.
    """
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ValueError(f"concurrency is a number of at least 1, not {concurrency!r}")
    milliseconds("grace", grace)
    if auto_ack:
        raise ValueError("a worker settles each message by how its handler ends, so it has no auto_ack")
