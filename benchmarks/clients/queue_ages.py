"""What the queue workers of all peers share: stamps on messages, and what is told of those that came."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from benchmarks.clients.stamps import age_s
from benchmarks.support.numbers import percentile

STAMP_BYTES: Final = 8
_LOOK_S: Final = 0.0005
_HEAD_START_NS: Final = 50_000_000
ACKNOWLEDGED_TOGETHER: Final = 100
"""Messages of one acknowledgement where they are acknowledged in batches; also the prefetch where they are not."""


def due(messages: int, rate: float, value_bytes: int) -> Iterator[list[bytes]]:
    """Yields messages when they are due, those together that are due by now; a stamp is when its message was due.

    Args:
        rate: messages a second; 0 has each batch due when it is asked for.
    """
    padding = bytes(value_bytes - STAMP_BYTES)
    if not rate:
        for start in range(0, messages, ACKNOWLEDGED_TOGETHER):
            stamp = time.monotonic_ns().to_bytes(STAMP_BYTES, "big")
            yield [stamp + padding] * min(ACKNOWLEDGED_TOGETHER, messages - start)
        return
    begin_ns = time.monotonic_ns() + _HEAD_START_NS
    sent = 0
    while sent < messages:
        now_ns = time.monotonic_ns()
        count = min(int((now_ns - begin_ns) * rate / 1e9) + 1, messages) if now_ns >= begin_ns else 0
        if count > sent:
            stamps = [begin_ns + int(number * 1e9 / rate) for number in range(sent, count)]
            yield [stamp.to_bytes(STAMP_BYTES, "big") + padding for stamp in stamps]
            sent = count
        time.sleep(_LOOK_S)


class Received:
    """The messages that a consumer was given."""

    def __init__(self, messages: int) -> None:
        self.left = messages
        self._ages: list[float] = []

    def take(self, value: bytes) -> None:
        """Notes a message."""
        self._ages.append(age_s(value, time.monotonic_ns()))
        self.left -= 1

    def told(self) -> Any:
        """Returns when the last one was settled, by the clock of all processes, and percentiles of the ages."""
        now_ns = time.monotonic_ns()
        self._ages.sort()
        return {"ended_ns": now_ns, **{f"p{percent}_s": percentile(self._ages, percent) for percent in (50, 99)}}


def sent(send: Callable[[], None]) -> Any:
    """Sends all and returns when that began and ended."""
    began_ns = time.monotonic_ns()
    send()
    return {"began_ns": began_ns, "ended_ns": time.monotonic_ns()}
