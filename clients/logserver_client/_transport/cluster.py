"""Who leads which partition, and how to reach them: one connection a node, refreshed when it turns out to be old.

A description of a topic names each partition's leader by node id; a description of the cluster gives the nodes'
addresses. Both come from the address the client was given, or, if that is gone, from any node met since.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from logserverpb.v1 import admin_pb2, common_pb2

from logserver_client._transport.connection import Connection
from logserver_client.errors import ConnectionFailed, RequestTimedOut, connection_failed

_log = logging.getLogger("logserver_client")

NO_LEADER: Final = -1
_DOOR: Final = "grpc"
_TOPIC_AGE_MOST_S: Final = 300.0
_TRY_NEXT_AFTER_S: Final = 3.0


@dataclass(slots=True)
class TopicLeaders:
    """What is known of a topic: for each partition its leader's node id (-1 without one) and leader epoch."""

    name: str
    topic_id: str
    leaders: list[int]
    leader_epochs: list[int]
    fetched_s: float

    @property
    def partitions(self) -> int:
        return len(self.leaders)


class Cluster:
    """The nodes behind one address. Lives on one event loop; `close` ends its channels."""

    def __init__(self, address: str, *, request_timeout_s: float) -> None:
        self.request_timeout_s = request_timeout_s
        self.bootstrap = Connection(address)
        self._connections: dict[str, Connection] = {address: self.bootstrap}
        self._addresses: dict[int, str] = {}
        self._topics: dict[str, TopicLeaders] = {}
        self._refreshing: dict[str, asyncio.Task[Any]] = {}

    def leader(self, topic: str, partition: int) -> int:
        """Returns the node id of a partition's leader as far as known, -1 if it isn't."""
        known = self._topics.get(topic)
        # A topic that was deleted and created anew may have fewer partitions.
        return NO_LEADER if known is None or partition >= known.partitions else known.leaders[partition]

    def topic_id(self, topic: str) -> str | None:
        """Returns the id of a topic as far as known."""
        known = self._topics.get(topic)
        return None if known is None else known.topic_id

    def is_old(self, name: str) -> bool:
        """True if nothing is known of a topic, or what is known should be asked for again."""
        known = self._topics.get(name)
        return known is None or asyncio.get_running_loop().time() - known.fetched_s >= _TOPIC_AGE_MOST_S

    async def topic(self, name: str, *, fresh: bool = False) -> TopicLeaders:
        """Returns a topic's leaders, asking if they aren't known, are older than five minutes, or `fresh` is wanted.

        Raises:
            UnknownTopicOrPartition, InvalidTopic: as the server says.
            ConnectionFailed, RequestTimedOut: nobody answered.
        """
        known = self._topics.get(name)
        if known is not None and not fresh and not self.is_old(name):
            return known
        return await self._shared(f"topic {name}", self._fetch_topic, name)  # type: ignore[no-any-return]

    async def connection(self, node_id: int) -> Connection:
        """Returns the connection to a node.

        Raises:
            ConnectionFailed: the cluster has no such node, or nobody could say.
        """
        if node_id not in self._addresses:
            await self.refresh_nodes()
        address = self._addresses.get(node_id)
        if address is None:
            raise connection_failed(f"{self.bootstrap.address} knows no node {node_id} with a gRPC address")
        return self._connection_to(address)

    async def refresh_nodes(self) -> None:
        """Asks for the addresses of the nodes again."""
        await self._shared("nodes", self._fetch_nodes)

    async def probe(self, connection: Connection) -> None:
        """Returns when a node answers.

        Raises:
            ConnectionFailed, RequestTimedOut: it didn't within a few seconds.
        """
        timeout_s = min(self.request_timeout_s, _TRY_NEXT_AFTER_S)
        method = _describe_cluster(connection)
        self._take_nodes(await connection.call(method, admin_pb2.DescribeClusterRequest(), timeout_s))

    def note_leader(self, topic: str, partition: int, leader: common_pb2.Leader) -> None:
        """Takes over the leader that an error named; newer knowledge stays."""
        known = self._topics.get(topic)
        if known is None or partition >= known.partitions or leader.leader_epoch < known.leader_epochs[partition]:
            return
        known.leaders[partition] = leader.node_id
        known.leader_epochs[partition] = leader.leader_epoch
        if leader.grpc_endpoint:
            self._addresses[leader.node_id] = leader.grpc_endpoint

    async def close(self) -> None:
        for task in self._refreshing.values():
            task.cancel()
        await asyncio.gather(*self._refreshing.values(), return_exceptions=True)
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))

    async def _shared(self, what: str, fetch: Any, *arguments: Any) -> Any:
        task = self._refreshing.get(what)
        if task is None:
            task = asyncio.get_running_loop().create_task(fetch(*arguments))
            self._refreshing[what] = task
            task.add_done_callback(lambda done: self._refreshed(what, done))
        # One caller that gives up must not take the answer from the others.
        return await asyncio.shield(task)

    def _refreshed(self, what: str, task: asyncio.Task[Any]) -> None:
        self._refreshing.pop(what, None)
        if not task.cancelled():
            # Marks it as seen: each caller that is still there raises it, and there may be none left.
            task.exception()

    async def _fetch_topic(self, name: str) -> TopicLeaders:
        answer = await self.ask(_describe_topic, admin_pb2.DescribeTopicRequest(name=name))
        described = answer.topic.partitions
        leaders = [NO_LEADER] * len(described)
        epochs = [-1] * len(described)
        for partition in described:
            leaders[partition.partition] = partition.leader
            epochs[partition.partition] = partition.leader_epoch
        topic = TopicLeaders(name, answer.topic.topic_id, leaders, epochs, asyncio.get_running_loop().time())
        if not self._addresses.keys() >= set(leaders) - {NO_LEADER}:
            await self.refresh_nodes()
        self._topics[name] = topic
        return topic

    async def _fetch_nodes(self) -> None:
        self._take_nodes(await self.ask(_describe_cluster, admin_pb2.DescribeClusterRequest()))

    def _take_nodes(self, answer: admin_pb2.DescribeClusterResponse) -> None:
        addresses: dict[int, str] = {}
        for node in answer.nodes:
            # A node that advertises nothing for us is reached the way we came.
            addresses[node.node_id] = _grpc_address(node.endpoints) or self.bootstrap.address
        self._addresses = addresses

    async def ask(self, method: Callable[[Connection], Callable[..., Any]], request: Any) -> Any:
        """Makes a unary call that any node can answer: at the given address and, while nobody is there, at the others.

        Args:
            method: picks the call from a connection, e.g. `lambda connection: connection.log.ListOffsets`.

        Raises:
            LogServerError: as `Connection.call`.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self.request_timeout_s
        while True:
            for connection in list(self._connections.values()):
                left_s = deadline_s - loop.time()
                timeout_s = left_s if len(self._connections) == 1 else min(left_s, _TRY_NEXT_AFTER_S)
                try:
                    return await connection.call(method(connection), request, timeout_s)
                except (ConnectionFailed, RequestTimedOut) as error:
                    if loop.time() >= deadline_s:
                        raise
                    _log.debug("a call failed address=%s error=%s", connection.address, error)

    def _connection_to(self, address: str) -> Connection:
        connection = self._connections.get(address)
        if connection is None:
            connection = self._connections[address] = Connection(address)
        return connection


def _describe_topic(connection: Connection) -> Callable[..., Any]:
    return connection.admin.DescribeTopic  # type: ignore[no-any-return]


def _describe_cluster(connection: Connection) -> Callable[..., Any]:
    return connection.admin.DescribeCluster  # type: ignore[no-any-return]


def _grpc_address(endpoints: Iterable[admin_pb2.Endpoint]) -> str:
    return next((endpoint.address for endpoint in endpoints if endpoint.door == _DOOR), "")
