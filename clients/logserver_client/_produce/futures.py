"""The future of one record: a light view on its batch (Kafka: `FutureRecordMetadata`)."""

import asyncio
import time
from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar

from logserver_client._produce.batch import Batch
from logserver_client.errors import LogServerError
from logserver_client.types import RecordMetadata

F = TypeVar("F", bound="BaseRecordFuture")

_NOT_YET: Final = "the record has not been acknowledged yet"


class BaseRecordFuture:
    """What both forms of the future have."""

    __slots__ = ("_batch", "_index", "_timestamp_ms")

    def __init__(self, batch: Batch, index: int, timestamp_ms: int) -> None:
        self._batch = batch
        self._index = index
        self._timestamp_ms = timestamp_ms

    def done(self) -> bool:
        """Returns True if the record has been acknowledged or has failed."""
        batch = self._batch
        if not batch.done:
            return False
        return not batch.parts or self._located().done

    def add_done_callback(self: F, callback: Callable[[F], Any]) -> None:
        """Has `callback(future)` called when the record has been acknowledged or has failed, at once if it has.

        It is called where the client works (its thread, or the event loop), which it must not block.
        """
        self._batch.add_waiter(self._index, lambda batch, index: callback(self))

    def _located(self) -> Batch:
        """Returns the record's batch, following splits, and remembers the place."""
        self._batch, self._index = self._batch.locate(self._index)
        return self._batch

    def _outcome(self) -> RecordMetadata:
        batch = self._located()
        if batch.error is not None:
            # A fresh traceback each time: the error is shared by the records of the batch.
            raise batch.error.with_traceback(None)
        return batch.metadata(self._index, self._timestamp_ms)


class RecordFuture(BaseRecordFuture):
    """The acknowledgement of a record, for threads."""

    __slots__ = ()

    def result(self, timeout: float | None = None) -> RecordMetadata:
        """Waits for the record to be acknowledged.

        Args:
            timeout: seconds; None waits as long as it takes, which `delivery_timeout_ms` bounds.

        Raises:
            TimeoutError: it took longer than `timeout`; the record is still under way.
            LogServerError: the record failed.
        """
        self._wait(timeout)
        return self._outcome()

    def exception(self, timeout: float | None = None) -> LogServerError | None:
        """Waits as `result` and returns the error of a record that failed, otherwise None.

        Raises:
            TimeoutError: as `result`.
        """
        self._wait(timeout)
        return self._located().error

    def _wait(self, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            batch = self._located()
            if batch.done:
                return
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            if not batch.wait(left):
                raise TimeoutError(_NOT_YET)


class AioRecordFuture(BaseRecordFuture):
    """The acknowledgement of a record, to be awaited; cancelling the wait leaves the record under way."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, RecordMetadata]:
        batch = self._located()
        if not batch.done:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            batch.add_waiter(self._index, lambda batch, index: None if ended.done() else ended.set_result(None))
            yield from ended
        return self._outcome()

    def result(self) -> RecordMetadata:
        """Returns where the record was stored.

        Raises:
            asyncio.InvalidStateError: it has not been acknowledged yet.
            LogServerError: the record failed.
        """
        self._check_done()
        return self._outcome()

    def exception(self) -> LogServerError | None:
        """Returns the error of a record that failed, otherwise None.

        Raises:
            asyncio.InvalidStateError: as `result`.
        """
        self._check_done()
        return self._located().error

    def _check_done(self) -> None:
        if not self.done():
            raise asyncio.InvalidStateError(_NOT_YET)
