"""The asyncio client that looks after queues."""

import warnings
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Unpack

import grpc
from logserverpb.v1 import queues_pb2

from logserver_client._admin_messages import SettingValue
from logserver_client._group.offsets import ask_coordinator
from logserver_client._queue import messages
from logserver_client._transport.cluster import Cluster
from logserver_client._transport.connection import Connection
from logserver_client._transport.options import DEFAULT_ADDRESS
from logserver_client._transport.status import error_from_call
from logserver_client.errors import client_closed
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

    Every call waits for a server that isn't there yet, for `request_timeout_ms` in all.

    Args:
        address: HOST:PORT of a server.
        request_timeout_ms: how long a call may take.

    Raises:
        ConnectionFailed: from every call, if no server was there in time.
        RequestTimedOut: from every call, if it was there and did not answer.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, *, request_timeout_ms: float = 30_000) -> None:
        self._address = address
        self._timeout_s = request_timeout_ms / 1000
        self._nodes: Cluster | None = None
        self._is_closed = False

    async def declare(
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
        request = messages.declare_request(name, partitions, settings, from_latest, policies)
        return messages.description((await self._ask("DeclareQueue", request)).queue)

    async def delete(self, name: str) -> None:
        """Forgets a queue: its policies, and what became of its messages. The topics stay.

        Raises:
            LogServerError: there is no such queue.
        """
        await self._ask("DeleteQueue", queues_pb2.DeleteQueueRequest(name=name), repeatable=False)

    async def list(self) -> list[QueueDescription]:
        """Returns all queues, also share groups of Kafka clients."""
        answer = await self._ask("ListQueues", queues_pb2.ListQueuesRequest())
        return [messages.description(queue) for queue in answer.queues]

    async def describe(self, name: str) -> QueueDescription:
        """Returns a queue.

        Raises:
            LogServerError: there is no such queue.
        """
        answer = await self._ask("DescribeQueue", queues_pb2.DescribeQueueRequest(name=name))
        return messages.description(answer.queue)

    async def purge(self, name: str) -> int:
        """Settles everything that is ready; what is held, delayed or moving stays.

        Returns:
            How many messages that were.
        """
        answer = await self._ask("Purge", queues_pb2.PurgeRequest(queue=name))
        return int(answer.messages)

    async def peek(
        self, name: str, max_messages: int = 10, *, state: MessageState | None = None
    ) -> Sequence[PeekedMessage]:
        """Looks at messages that are not settled, without taking them.

        Args:
            max_messages: at most so many; the server has a limit of 1,000.
            state: only those in this state.

        Returns:
            The first of each partition, by their offsets.
        """
        answer = await self._ask("Peek", messages.peek_request(name, max_messages, state))
        return [*messages.peeked(answer.peeked)]

    async def redrive(
        self,
        name: str,
        *,
        destination: str = "",
        key: bytes | None = None,
        headers: Headers = (),
        messages_per_second: float = 0.0,
        max_messages: int = 0,
    ) -> AsyncGenerator[RedriveProgress, None]:
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
        nodes = self._started()
        await nodes.probe(nodes.bootstrap)
        request = messages.redrive_request(name, destination, key, headers, messages_per_second, max_messages)
        call = nodes.bootstrap.queues.Redrive(request)
        try:
            async for message in call:
                yield messages.progress(message)
        except grpc.aio.AioRpcError as error:
            raise error_from_call(error, self._address) from error
        finally:
            call.cancel()

    async def explain(self, topic: str, partition: int, offset: int, *, queue: str = "") -> Sequence[Story]:
        """Tells what became of a message, in every queue that has its topic or in one.

        Raises:
            UnknownTopicOrPartition: there is no such partition.
            LogServerError: there is no such queue.
        """
        request = queues_pb2.ExplainRequest(topic=topic, partition=partition, offset=offset, queue=queue)
        answer = await self._ask("Explain", request)
        return [messages.story(story) for story in answer.stories]

    async def close(self) -> None:
        """Closes the channels."""
        self._is_closed = True
        nodes, self._nodes = self._nodes, None
        if nodes is not None:
            await nodes.close()

    async def __aenter__(self) -> "Queues":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        if getattr(self, "_nodes", None) is not None:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)

    async def _ask(self, method: str, request: Any, *, repeatable: bool = True) -> Any:
        def pick(connection: Connection) -> Callable[..., Any]:
            return getattr(connection.queues, method)  # type: ignore[no-any-return]

        return await ask_coordinator(self._started(), pick, request, self._timeout_s, repeatable=repeatable)

    def _started(self) -> Cluster:
        if self._is_closed:
            raise client_closed("the client is closed")
        if self._nodes is None:
            self._nodes = Cluster(self._address, request_timeout_s=self._timeout_s)
        return self._nodes
