"""What handlers work with."""

from dataclasses import dataclass

from logserver_segments.seams import Clock

from logserver.broker import Broker
from logserver.broker.peers import Peers
from logserver.coordinator import GroupCoordinator
from logserver.coordinator.transactions.coordinator import TransactionCoordinator
from logserver.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Services:
    """The server behind the door."""

    broker: Broker
    groups: GroupCoordinator
    transactions: TransactionCoordinator
    peers: Peers
    clock: Clock
    settings: ServerSettings
