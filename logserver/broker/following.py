"""Following a part of the metadata store: state changes only as the store's watch tells, the node's own changes too."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final

from logserver_segments.logs import get_logger

from logserver.errors import ErrorCode, LogServerError
from logserver.metadata import Compare, Event, MetadataStore, Operation, StoreUnavailable, TooLarge

_log = get_logger("logserver.broker")

_STEPS_AT_A_TIME: Final = 20


class Follower:
    """Applies all changes of the keys with a prefix, and lets whoever makes one wait until it is applied here.

    Args:
        apply: applies one change; what it yields are points at which others may get their turn.
        applied: called when all changes of a revision are applied, before those who made them are answered.
        what: what the keys hold, for messages: "topics".
    """

    def __init__(
        self,
        store: MetadataStore,
        prefix: bytes,
        apply: Callable[[Event], Iterator[None]],
        applied: Callable[[], None],
        what: str,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._apply = apply
        self._when_applied = applied
        self._what = what
        self._applied = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        # Why changes are not applied any more.
        self._ended: LogServerError | None = None
        self._watcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Applies what the store holds, and follows changes from here on."""
        revision = self._store.revision
        for found in self._store.range(self._prefix):
            for _ in self._apply(Event(found.key, found.value, found.mod_revision)):
                pass
        self._applied = revision
        watch = self._store.watch(self._prefix, revision + 1)
        self._watcher = asyncio.create_task(self._follow(watch.__aiter__()), name=f"broker-watch-{self._what}")

    def cancel(self) -> None:
        """Ends following at once, and answers nobody: what is left of a server that crashed."""
        if self._watcher is not None:
            self._watcher.cancel()

    async def stop(self) -> None:
        """Ends following, and answers who waits."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        self._end(LogServerError(ErrorCode.not_leader_or_follower, "the server is stopping"))

    async def _follow(self, changes: AsyncIterator[Sequence[Event]]) -> None:
        try:
            async for events in changes:
                for event in events:
                    for number, _ in enumerate(self._apply(event), 1):
                        if number % _STEPS_AT_A_TIME == 0:
                            # A change of very many things must not keep everybody else waiting.
                            await asyncio.sleep(0)
                self._applied = events[-1].revision
                self._when_applied()
                still = []
                for revision, done in self._waiters:
                    if revision > self._applied:
                        still.append((revision, done))
                    elif not done.done():
                        done.set_result(None)
                self._waiters = still
        except Exception as error:
            _log.exception(f"changes of {self._what} are not applied any more; restart the server")
            message = f"changes of {self._what} are not applied any more ({error}); restart the server"
            self._end(LogServerError(ErrorCode.unknown_server_error, message))

    def _end(self, reason: LogServerError) -> None:
        """Answers everybody who waits for a change to be applied, now and later."""
        self._ended = reason
        waiters, self._waiters = self._waiters, []
        for _, done in waiters:
            if not done.done():
                done.set_exception(reason)

    async def change(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> bool:
        """Changes the store and waits until this node has applied it; returns whether the compares held.

        Raises:
            LogServerError: KAFKA_STORAGE_ERROR if the store failed, INVALID_REQUEST if the change is too large for it,
                or changes are not applied any more.
        """
        if self._ended is not None:
            raise self._ended
        try:
            result = await self._store.txn(compares, operations)
        except StoreUnavailable as error:
            raise LogServerError(ErrorCode.kafka_storage_error, str(error)) from error
        except TooLarge as error:
            raise LogServerError(ErrorCode.invalid_request, str(error)) from error
        if result.succeeded and self._applied < result.revision:
            if self._ended is not None:
                raise self._ended
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((result.revision, done))
            await done
        return result.succeeded
