"""The synchronous worker: a handler on threads."""

import inspect
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, Final, Unpack

from logserver_client._queue.config import ConsumeSettings
from logserver_client._queue.sync import Consumption, Message
from logserver_client._queue.work import EXTEND_PART, check_worker, conclude
from logserver_client.errors import ClientClosed
from logserver_client.queue import Queue

_log = logging.getLogger("logserver_client")

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Worker:
    """Runs a handler for each message of a queue, several at a time.

        def handle(message):
            send_mail(message.value)

        with Queue("127.0.0.1:50051", "mails") as queue:
            Worker(queue, handle, concurrency=4).run()

    A handler that returns has done its message. One that raises has failed: the message is tried again as the queue's
    policy says; with `Retry` when the handler says; with `Reject` it goes to the dead letters. A handler may also
    settle its message by itself.

    Args:
        handler: called with a message, on a thread of the worker's own.
        concurrency: how many messages are worked on at a time.
        prefetch: how many messages are here; `concurrency` unless given, so that whoever is free gets the next.
        grace: seconds that handlers may take to finish after `stop`; what they have then is given back.
        settings: see `Queue.consume`. A `lock` is extended as long as the handler runs; without one a message is this
            worker's as long as its connection lasts.

    Raises:
        ValueError: a setting is out of its range.
        TypeError: the handler is a coroutine function: `logserver_client.aio` has a worker for it.
    """

    def __init__(
        self,
        queue: Queue,
        handler: Callable[[Message], object],
        *,
        concurrency: int = 1,
        prefetch: int | None = None,
        grace: float = 30.0,
        **settings: Unpack[ConsumeSettings],
    ) -> None:
        check_worker(concurrency, grace, auto_ack=settings.get("auto_ack", False))
        if inspect.iscoroutinefunction(handler):
            raise TypeError("the handler is a coroutine function: use logserver_client.aio.Worker")
        self._queue = queue
        self._handler = handler
        self._concurrency = concurrency
        self._prefetch = prefetch or concurrency
        self._grace_s = grace
        self._settings = settings
        # It can be put into by a signal handler, at any moment.
        self._ends: SimpleQueue[BaseException | None] = SimpleQueue()
        self._running: dict[int, Message] = {}

    def run(self, *, signals: bool = True) -> None:
        """Works until `stop`, or SIGTERM or SIGINT; then finishes what is being worked on, and gives back the rest.

        Args:
            signals: whether to stop at SIGTERM and SIGINT, if this is the main thread; at a second one as without.

        Raises:
            LogServerError: the queue can't be consumed, or not any more.
        """
        with self._stopped_by_signals(signals), self._queue.consume(self._prefetch, **self._settings) as messages:
            threads = [
                threading.Thread(target=self._work, args=(messages, number), name=f"worker-{number}", daemon=True)
                for number in range(self._concurrency)
            ]
            finished = threading.Event()
            lock_s = self._settings.get("lock")
            if lock_s is not None:
                threading.Thread(target=self._extend, args=(lock_s, finished), name="worker-locks", daemon=True).start()
            for thread in threads:
                thread.start()
            try:
                error = self._ends.get()
                messages.stop()
                deadline_s = time.monotonic() + self._grace_s
                for thread in threads:
                    thread.join(max(deadline_s - time.monotonic(), 0))
            finally:
                finished.set()
            if self._running:
                _log.warning(
                    "handlers have not finished within grace=%g s; their messages are given back count=%d",
                    self._grace_s,
                    len(self._running),
                )
        if error is not None:
            raise error

    def stop(self) -> None:
        """Lets `run` end; from any thread, also from a signal handler."""
        self._ends.put(None)

    def _work(self, messages: Consumption, number: int) -> None:
        try:
            while (message := messages.get()) is not None:
                self._running[number] = message
                try:
                    self._handle(message)
                finally:
                    del self._running[number]
        except ClientClosed:
            # It took longer than the grace.
            return
        except BaseException as error:
            self._ends.put(error)

    def _handle(self, message: Message) -> None:
        error: BaseException | None = None
        try:
            self._handler(message)
        except Exception as raised:
            error = raised
        except BaseException as raised:
            conclude(message, raised)
            raise
        conclude(message, error)

    def _extend(self, lock_s: float, finished: threading.Event) -> None:
        while not finished.wait(lock_s / EXTEND_PART):
            for message in list(self._running.values()):
                if not message.is_settled:
                    with suppress(ClientClosed):
                        message.extend(lock_s)

    @contextmanager
    def _stopped_by_signals(self, wanted: bool) -> Iterator[None]:
        if not wanted or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}

        def stop(_number: int, _frame: Any) -> None:
            restore()
            self.stop()

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        for number in _SIGNALS:
            signal.signal(number, stop)
        try:
            yield
        finally:
            restore()
