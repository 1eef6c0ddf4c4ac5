"""The queues of one broker, put together as the daemon does."""

from collections.abc import Mapping
from pathlib import Path

from logserver.broker.peers import LocalPeers
from logserver.coordinator.delivery.coordinator import QueueCoordinator
from logserver.coordinator.share.limits import ShareLimits
from logserver.coordinator.share_state.share_state import ShareState
from tests.broker.harness import InlineWorkers, SeededRandom
from tests.broker.nodes import BrokerNode


class QueuesNode:
    """One node; `start` it again after `stop` or `crash`.

    Args:
        kind: of storage, as for `BrokerNode`.
    """

    def __init__(self, path: Path, kind: str = "real", settings: Mapping[str, str] | None = None) -> None:
        few = {"share.coordinator.state.topic.num.partitions": "2"}
        self.node = BrokerNode(path, kind, settings={**few, **(settings or {})})
        self.clock = self.node.clock

    async def start(self) -> "QueuesNode":
        broker = await self.node.start()
        self.broker = broker
        self.peers = LocalPeers(broker)
        self.states = ShareState(broker, self.clock, InlineWorkers())
        self.queues = QueueCoordinator(
            broker, self.node.store, self.peers, self.states, ShareLimits(), self.clock, SeededRandom(1)
        )
        self.states.start()
        self.queues.start()
        return self

    async def stop(self) -> None:
        await self.queues.stop()
        self.states.stop()
        await self.node.stop()

    async def crash(self) -> None:
        """Ends as SIGKILL would."""
        self.queues.abandon()
        self.states.stop()
        await self.node.crash()
