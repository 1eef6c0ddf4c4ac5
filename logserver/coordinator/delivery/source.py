"""Where the records of a queue come from: a partition of a topic, or memory."""

from collections.abc import Awaitable
from typing import Protocol

from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.reading import Slice

from logserver.errors import LogServerError


class SourceWaiter(Protocol):
    """Who wants to know that there is something new, or that there will be nothing any more."""

    def data_available(self, source: "Source") -> None: ...


class Source(Protocol):
    """What a queue needs of a partition; `Partition` is one, see there."""

    topic: str
    number: int

    @property
    def unavailable(self) -> LogServerError | None: ...

    @property
    def high_watermark(self) -> int: ...

    @property
    def last_stable_offset(self) -> int: ...

    @property
    def log_start_offset(self) -> int: ...

    def add_waiter(self, waiter: SourceWaiter) -> None: ...

    def remove_waiter(self, waiter: SourceWaiter) -> None: ...

    def read(self, offset: int, max_bytes: int, committed_only: bool = False) -> Slice | Awaitable[Slice]: ...

    def aborted_transactions(
        self, start_offset: int, end_offset: int
    ) -> list[AbortedTransaction] | Awaitable[list[AbortedTransaction]]: ...
