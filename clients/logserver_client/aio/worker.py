"""The asyncio worker: a handler in tasks."""

import asyncio
import inspect
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Unpack

from logserver_client._queue.aio import Consumption, Message
from logserver_client._queue.config import ConsumeSettings
from logserver_client._queue.work import EXTEND_PART, check_worker, conclude
from logserver_client.aio.queue import Queue
from logserver_client.errors import ClientClosed

_log = logging.getLogger("logserver_client")

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Worker:
    """Runs a handler for each message of a queue, several at a time.

        async def handle(message):
            await send_mail(message.value)

        async with Queue("127.0.0.1:50051", "mails") as queue:
            await Worker(queue, handle, concurrency=100).run()

    Arguments and what becomes of messages are those of the synchronous `logserver_client.Worker`; a handler that is no
    coroutine function runs on a thread.
    """

    def __init__(
        self,
        queue: Queue,
        handler: Callable[[Message], Awaitable[object] | object],
        *,
        concurrency: int = 1,
        prefetch: int | None = None,
        grace: float = 30.0,
        **settings: Unpack[ConsumeSettings],
    ) -> None:
        check_worker(concurrency, grace, auto_ack=settings.get("auto_ack", False))
        self._queue = queue
        self._handler: Callable[[Message], Any] = handler
        self._is_async = inspect.iscoroutinefunction(handler)
        self._concurrency = concurrency
        self._prefetch = prefetch or concurrency
        self._grace_s = grace
        self._settings = settings
        self._stopping = asyncio.Event()
        self._running: dict[int, Message] = {}

    async def run(self, *, signals: bool = True) -> None:
        """Works until `stop`, or SIGTERM or SIGINT; then finishes what is being worked on, and gives back the rest.

        Args:
            signals: whether to stop at SIGTERM and SIGINT, if this is the main thread; at a second one as without.

        Raises:
            LogServerError: the queue can't be consumed, or not any more.
        """
        with self._stopped_by_signals(signals):
            async with self._queue.consume(self._prefetch, **self._settings) as messages:
                await self._run(messages)

    def stop(self) -> None:
        """Lets `run` end; to be called in its event loop."""
        self._stopping.set()

    async def _run(self, messages: Consumption) -> None:
        tasks = {asyncio.create_task(self._work(messages, number)) for number in range(self._concurrency)}
        stopping = asyncio.create_task(self._stopping.wait())
        others = {stopping}
        lock_s = self._settings.get("lock")
        extending = None if lock_s is None else asyncio.create_task(self._extend(lock_s))
        try:
            # A task that ends before it was asked to has failed.
            await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            await messages.stop()
            _, late = await asyncio.wait(tasks, timeout=self._grace_s)
            if late:
                _log.warning(
                    "handlers have not finished within grace=%g s; their messages are given back count=%d",
                    self._grace_s,
                    len(late),
                )
        finally:
            ends = [*tasks, *others, *([] if extending is None else [extending])]
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _work(self, messages: Consumption, number: int) -> None:
        while (message := await messages.get()) is not None:
            self._running[number] = message
            try:
                await self._handle(message)
            except ClientClosed:
                return
            finally:
                del self._running[number]

    async def _handle(self, message: Message) -> None:
        error: BaseException | None = None
        try:
            if self._is_async:
                await self._handler(message)
            else:
                await asyncio.to_thread(self._handler, message)
        except Exception as raised:
            error = raised
        except BaseException as raised:
            conclude(message, raised)
            raise
        conclude(message, error)

    async def _extend(self, lock_s: float) -> None:
        while True:
            await asyncio.sleep(lock_s / EXTEND_PART)
            for message in self._running.values():
                if not message.is_settled:
                    message.extend(lock_s)

    @contextmanager
    def _stopped_by_signals(self, wanted: bool) -> Iterator[None]:
        if not wanted or threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def restore() -> None:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

        def stop() -> None:
            restore()
            self.stop()

        for number in _SIGNALS:
            loop.add_signal_handler(number, stop)
        try:
            yield
        finally:
            restore()
