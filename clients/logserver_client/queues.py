"""The synchronous client that looks after queues."""

import warnings
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Unpack

from logserver_client import aio
from logserver_client._admin_messages import SettingValue
from logserver_client._background import BACKGROUND
from logserver_client._transport.options import DEFAULT_ADDRESS
from logserver_client.queue_descriptions import (
    MessageState,
    PeekedMessage,
    PolicySettings,
    QueueDescription,
    RedriveProgress,
    Story,
)
from logserver_client.types import Headers


class Queues:
    """Declares, describes, purges and deletes queues, moves messages between them, and tells what became of messages.

    Safe for threads.

        with Queues("127.0.0.1:50051") as queues:
            queues.declare("mails", max_deliveries=5, retry_delay=1.0, dead_letter_topic="mails.dead")

    Every call waits for a server that isn't there yet, for `request_timeout_ms` in all.

    Args:
        address: HOST:PORT of a server.
        request_timeout_ms: how long a call may take.

    Raises:
        ConnectionFailed: from every call, if no server was there in time.
        RequestTimedOut: from every call, if it was there and did not answer.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, *, request_timeout_ms: float = 30_000) -> None:
        self._is_closed = True
        self._queues = aio.Queues(address, request_timeout_ms=request_timeout_ms)
        self._user = BACKGROUND.acquire(self._queues.close)
        self._is_closed = False

    def declare(
        self,
        name: str,
        *,
        partitions: int = 0,
        settings: Mapping[str, SettingValue] | None = None,
        from_latest: bool = False,
        **policies: Unpack[PolicySettings],
    ) -> QueueDescription:
        """Makes a queue with its topic, and that of its dead letters; or changes the policies of a queue.

        Args:
            name: of the queue and its topic.
            partitions: of topics that are made; 0: 1.
            settings: of the topic that is made, by Kafka's names.
            from_latest: only what is sent from now on is for the queue, where the topic is there already.
            policies: see `QueuePolicy`; those that are not given have the server's defaults, or stay as they are.

        Raises:
            InvalidRequest, InvalidTopic, InvalidConfig: as the server says.
            ValueError: a policy is out of its range.
        """
        return BACKGROUND.run(
            self._queues.declare(name, partitions=partitions, settings=settings, from_latest=from_latest, **policies)
        )

    def delete(self, name: str) -> None:
        """Forgets a queue: its policies, and what became of its messages. The topics stay.

        Raises:
            LogServerError: there is no such queue.
        """
        BACKGROUND.run(self._queues.delete(name))

    def list(self) -> list[QueueDescription]:
        """Returns all queues, also share groups of Kafka clients."""
        return BACKGROUND.run(self._queues.list())

    def describe(self, name: str) -> QueueDescription:
        """Returns a queue.

        Raises:
            LogServerError: there is no such queue.
        """
        return BACKGROUND.run(self._queues.describe(name))

    def purge(self, name: str) -> int:
        """Settles everything that is ready; what is held, delayed or moving stays.

        Returns:
            How many messages that were.
        """
        return BACKGROUND.run(self._queues.purge(name))

    def peek(self, name: str, max_messages: int = 10, *, state: MessageState | None = None) -> Sequence[PeekedMessage]:
        """Looks at messages that are not settled, without taking them.

        Args:
            max_messages: at most so many; the server has a limit of 1,000.
            state: only those in this state.

        Returns:
            The first of each partition, by their offsets.
        """
        return BACKGROUND.run(self._queues.peek(name, max_messages, state=state))

    def redrive(
        self,
        name: str,
        *,
        destination: str = "",
        key: bytes | None = None,
        headers: Headers = (),
        messages_per_second: float = 0.0,
        max_messages: int = 0,
    ) -> Iterator[RedriveProgress]:
        """Sends messages of a queue of dead letters back to where they came from, or messages of any queue elsewhere.

        It goes on as long as one iterates.

        Args:
            name: the topic of the dead letters, or any queue.
            destination: topic to send them to; where they came from without.
            key: only messages with this key.
            headers: only messages with these headers, exactly.
            messages_per_second: at most so many; 0: as fast as it goes.
            max_messages: at most so many in all; 0: all that are there now.

        Yields:
            How far it is; the last one says that it is done.

        Raises:
            LogServerError: there is no such queue, or messages can't be moved.
        """
        progress = self._queues.redrive(
            name,
            destination=destination,
            key=key,
            headers=headers,
            messages_per_second=messages_per_second,
            max_messages=max_messages,
        )
        try:
            while (step := BACKGROUND.run(_next(progress))) is not None:
                yield step
        finally:
            BACKGROUND.run(progress.aclose())

    def explain(self, topic: str, partition: int, offset: int, *, queue: str = "") -> Sequence[Story]:
        """Tells what became of a message, in every queue that has its topic or in one.

        Raises:
            UnknownTopicOrPartition: there is no such partition.
            LogServerError: there is no such queue.
        """
        return BACKGROUND.run(self._queues.explain(topic, partition, offset, queue=queue))

    def close(self) -> None:
        """Closes the channels."""
        if not self._is_closed:
            self._is_closed = True
            BACKGROUND.run(self._queues.close())
            BACKGROUND.release(self._user)

    def __enter__(self) -> "Queues":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._is_closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)


async def _next(progress: AsyncIterator[RedriveProgress]) -> RedriveProgress | None:
    async for step in progress:
        return step
    return None
