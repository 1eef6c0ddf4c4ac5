"""What handlers work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from logserver_segments.seams import Clock

from logserver.broker import Broker
from logserver.broker.peers import Peers
from logserver.coordinator import GroupCoordinator
from logserver.coordinator.delivery.coordinator import QueueCoordinator
from logserver.coordinator.transactions.coordinator import TransactionCoordinator
from logserver.kafka_api.share_sessions import ShareSessions
from logserver.settings import ServerSettings

if TYPE_CHECKING:
    from logserver.kafka_api.failing import FailingRoutes


@dataclass(frozen=True, slots=True)
class Services:
    """The server behind the door."""

    broker: Broker
    groups: GroupCoordinator
    transactions: TransactionCoordinator
    queues: QueueCoordinator
    peers: Peers
    clock: Clock
    settings: ServerSettings
    socket_clock: Clock
    """For how long a connection is idle and what takes how long; `clock` may be moved forward."""
    share_sessions: ShareSessions
    failing: FailingRoutes | None = None
    """Has requests fail, in tests of programs."""
