"""The stream of one who consumes: opened again after each break, messages in, what is said of them out."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Final

from logserverpb.v1 import queues_pb2

from logserver_client._backoff import Backoff
from logserver_client._queue.config import QueueConfig
from logserver_client._queue.delivery import Session
from logserver_client._queue.outbox import OnLost, Outbox
from logserver_client._queue.wire import Arrival, open_consume
from logserver_client._transport.cluster import Cluster
from logserver_client._transport.status import error_from_message
from logserver_client._transport.stream import run_stream
from logserver_client.errors import UNKNOWN, LogServerError, client_closed, connection_failed

_log = logging.getLogger("logserver_client")

_BUFFER_BYTES: Final = 32 << 20
"""Nothing more is read while so much waits for the user; the prefetch is reached before, as a rule."""


class ConsumeStream:
    """Consumes a queue; lives on one event loop.

    A stream that breaks is opened anew: what the old one held is lost and will be delivered again, to this consumer or
    to another, so what is said of it then is not good any more, and what was not handed out is dropped.

    Args:
        start: how each stream begins.
        wake: called, on the event loop, when something has come.
        on_lost: see `Outbox`.
        has_threads: messages are settled on other threads than the event loop's.
    """

    def __init__(
        self,
        config: QueueConfig,
        cluster: Cluster,
        start: queues_pb2.ConsumeStart,
        wake: Callable[[], None],
        on_lost: OnLost | None,
        random: Random,
        has_threads: bool,
    ) -> None:
        self.inbox: deque[tuple[Session, Arrival]] = deque()
        """What has come and was not taken; users take from the left."""
        self.taken_bytes = 0
        """Of what users have taken; they count."""
        self.error: LogServerError | None = None
        """Why nothing comes any more."""
        self.is_auto_ack = start.settle
        self._config = config
        self._cluster = cluster
        self._start = start
        self._prefetch = start.prefetch
        self._wake = wake
        self.loop = loop = asyncio.get_running_loop()
        self._call_soon: Callable[[Callable[[], None]], Any] = (
            loop.call_soon_threadsafe if has_threads else loop.call_soon
        )
        self.outbox = Outbox(self._announce, on_lost)
        self._backoff = Backoff(config.retry_backoff_ms, config.retry_backoff_max_ms, random)
        self._session: Session | None = None
        self._added_bytes = 0
        self._is_stalled = False
        self._is_closing = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._started: asyncio.Future[None] = loop.create_future()
        self._task = loop.create_task(self._run(), name=f"consume {config.name}")
        self._task.add_done_callback(self._ended)

    # The user's thread.

    def took(self, size_bytes: int) -> None:
        """Takes note that so many bytes have been taken from the inbox."""
        self.taken_bytes += size_bytes
        if self._is_stalled:
            self._call_soon(self._room.set)

    def _announce(self) -> None:
        self._call_soon(self._something_said)

    # The event loop.

    async def started(self) -> None:
        """Returns when the server has begun.

        Raises:
            LogServerError: it refuses, or nobody answers within the request timeout.
        """
        try:
            async with asyncio.timeout(self._config.request_timeout_s):
                await asyncio.shield(self._started)
        except TimeoutError:
            raise connection_failed(
                f"no log server at {self._config.address} has begun to deliver {self._config.name} within "
                f"request_timeout_ms={self._config.request_timeout_ms:g}"
            ) from None

    async def change_prefetch(self, prefetch: int) -> None:
        """Holds so many messages at most from now on."""
        self.hold_at_most(prefetch)

    def hold_at_most(self, prefetch: int) -> None:
        """As `change_prefetch`."""
        self._prefetch = prefetch
        self._news.set()

    async def close(self, timeout_s: float) -> None:
        """Waits until what was said is durable, and ends; messages that nothing was said of are given back."""
        self._is_closing = True
        self._news.set()
        self._room.set()
        if self._session is not None:
            await asyncio.wait({self._task}, timeout=timeout_s)
        self._task.cancel()
        await asyncio.wait({self._task})
        self.error = self.error or client_closed("the consumption is closed")
        self.outbox.close()
        self.inbox.clear()
        self._wake()

    def _something_said(self) -> None:
        self._news.set()
        if self.outbox.has_markers:
            self._room.set()
        if self._session is None:
            # All of it is of streams that are gone.
            self.outbox.next_frame()

    async def _run(self) -> None:
        while not self._is_closing and self.error is None:
            delay_s = await self._run_once()
            if delay_s:
                await asyncio.sleep(delay_s)

    async def _run_once(self) -> float:
        """Runs one stream to its end; returns how long to wait before the next."""
        connection = self._cluster.bootstrap
        try:
            if self._backoff.failures:
                await self._cluster.probe(connection)
        except LogServerError as error:
            _log.info("the queue can't be reached address=%s error=%s", connection.address, error)
            return self._backoff.next_delay_s()
        call = open_consume(connection.channel)
        session = self._session = Session()
        try:
            reason = await run_stream(call, connection.address, self._write(call, session), self._read(call, session))
        except LogServerError as error:
            reason = error
        finally:
            self._session_over(session)
        if self._is_closing:
            return 0.0
        if not reason.retriable:
            self._fail(reason)
            return 0.0
        _log.info("a consume stream ended queue=%s reason=%s", self._config.name, reason)
        # A stream that worked is opened again at once, one that broke as soon as it was opened is not.
        delay_s = self._backoff.next_delay_s() if self._backoff.failures else 0.0
        self._backoff.failures = max(self._backoff.failures, 1)
        return delay_s

    def _session_over(self, session: Session) -> None:
        self._session = None
        if self.is_auto_ack:
            # They are this consumer's for good.
            return
        session.is_lost = True
        self.outbox.break_off("the connection broke before it was known to be durable")

    async def _write(self, call: Any, session: Session) -> None:
        await call.write(queues_pb2.ConsumeRequest(start=self._start))
        prefetch = self._start.prefetch
        while True:
            if prefetch != self._prefetch:
                # Before what is given back, which would come again otherwise.
                prefetch = self._prefetch
                await call.write(queues_pb2.ConsumeRequest(prefetch=queues_pb2.ConsumePrefetch(prefetch=prefetch)))
                continue
            frame = self.outbox.next_frame()
            if frame is not None:
                settle = queues_pb2.ConsumeSettle(id=frame.number, settlements=frame.settlements())
                await call.write(queues_pb2.ConsumeRequest(settle=settle))
                continue
            if self._is_closing and not self.outbox.is_busy:
                break
            self._news.clear()
            await self._news.wait()
        await call.done_writing()

    async def _read(self, call: Any, session: Session) -> None:
        async for response in call:
            if response.__class__ is Arrival:
                await self._take_in(session, response)
                continue
            match response.WhichOneof("response"):
                case "started":
                    session.incarnation = response.started.incarnation
                    self._backoff.reset()
                    if not self._started.done():
                        self._started.set_result(None)
                case "settled":
                    self.outbox.confirm(response.settled.id, response.settled.refused)
                    self._news.set()
                case "cancelled":
                    raise error_from_message(response.cancelled.error)

    async def _take_in(self, session: Session, arrival: Arrival) -> None:
        if self._is_closing:
            return
        self.inbox.append((session, arrival))
        self._added_bytes += len(arrival.batches)
        self._wake()
        while self._added_bytes - self.taken_bytes > _BUFFER_BYTES and not self.outbox.has_markers:
            # Set back before looking again: the user may have taken something in between.
            self._is_stalled = True
            self._room.clear()
            if self._added_bytes - self.taken_bytes > _BUFFER_BYTES and not self._is_closing:
                await self._room.wait()
            self._is_stalled = False
            if self._is_closing:
                return

    def _fail(self, reason: LogServerError) -> None:
        self.error = reason
        if not self._started.done():
            self._started.set_exception(reason)
            # There may be nobody who waits for it.
            self._started.exception()
        self._wake()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failure = LogServerError(UNKNOWN, "UNKNOWN_SERVER_ERROR", f"the client has failed: {error!r}")
            failure.__cause__ = error
            self._fail(failure)
