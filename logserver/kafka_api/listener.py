"""A listener of the door: what its connections have in common."""

from dataclasses import dataclass, field

from logserver.kafka_api.abandoned import Abandoned
from logserver.kafka_api.incoming import Scratch
from logserver.kafka_api.services import Services
from logserver.settings import Address

_ALL_ADDRESSES = ("0.0.0.0", "::", "")


@dataclass(frozen=True, slots=True)
class Listener:
    """One address that clients connect to.

    Args:
        name: Kafka's name of the listener, such as PLAINTEXT.
        address: with the real port.
        told: what clients are told instead, if the settings say so.
        abandoned: takes over what the clients that go leave behind.
    """

    services: Services
    name: str
    address: Address
    told: Address | None
    request_max_bytes: int
    inflight_max_bytes: int
    abandoned: Abandoned
    scratch: Scratch = field(default_factory=Scratch)

    def advertised(self, local: str) -> tuple[str, int]:
        """Returns host and port by which a client reaches this server again.

        Args:
            local: the address of this end of the client's connection, which is the answer for a listener on all
                addresses: the client has just reached it.
        """
        if self.told is not None:
            return self.told.host, self.told.port
        if self.address.host in _ALL_ADDRESSES:
            return local.rpartition(":")[0].strip("[]"), self.address.port
        return self.address.host, self.address.port
