"""What every part of the demonstration works with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from logserver_client import BytesRecord, Consumer

from .commands import Commands
from .flights import Flight
from .load import Load
from .proof import Proof
from .readback import ReadBack
from .server import Server

PARTITIONS: Final = 12
POLL_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True)
class Stage:
    """The flights, a running server, and where to say what was found."""

    flights: Sequence[Flight]
    server: Server
    proof: Proof

    @property
    def commands(self) -> Commands:
        """The commands, for this server."""
        return Commands(self.server.address)

    def new_load(self, topic: str) -> Load:
        """Creates `topic`, and returns a load of all flights that can be run into it.

        Its records keep forever: they carry the time of the flight, which is older than any usual retention.
        """
        self.commands.run("topics", "create", topic, "--partitions", str(PARTITIONS), "--config", "retention.ms=-1")
        return Load(self.flights, self.proof.say)

    def read_back(self, topic: str) -> ReadBack:
        """Reads the whole topic with a consumer."""
        self.proof.say("reading it back")
        return ReadBack.of(_everything(self.server.address, topic), self.flights)

    def check_acknowledged(self, read: ReadBack, load: Load) -> None:
        """Every record is acknowledged, and each is where the acknowledgement says."""
        for error in load.errors[:3]:
            self.proof.say(f"not stored: {error}")
        self.proof.check(
            not load.errors and load.sent == len(self.flights), f"{load.sent:,} records sent, none refused"
        )
        missing = read.missing(load.acknowledged)
        self.proof.check(
            missing == 0,
            f"every acknowledged record present at its offset: {len(load.acknowledged):,}, {missing} missing",
        )


def _everything(address: str, topic: str) -> Iterator[BytesRecord]:
    """The records of all partitions from their beginning to the end they have now; less if they don't come in time."""
    with Consumer(address) as consumer:
        partitions = consumer.partitions_for(topic)
        ends = {partition: end for partition, end in consumer.end_offsets(partitions).items() if end > 0}
        consumer.assign(list(ends), at="earliest")
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            records = consumer.poll(POLL_TIMEOUT_S)
            if not records:
                return
            yield from records
