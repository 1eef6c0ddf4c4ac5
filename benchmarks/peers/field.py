"""The servers that speak Kafka's protocol, side by side: this one, Apache Kafka, Tansu."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.peers import kafka, tansu
from benchmarks.peers.process import CannotHavePeer
from benchmarks.support.machine import our_version
from benchmarks.support.output import Report, progress
from benchmarks.support.processes import log_server

OURS: Final = "log server, fsync"
OURS_RELAXED: Final = "log server, page cache"
KAFKA: Final = "Apache Kafka"
KAFKA_FSYNC: Final = "Apache Kafka, flush.messages=1"
TANSU: Final = "Tansu, in memory"

PEERS: Final = ("kafka", "tansu")
RELAXED: Final = {"flush.messages": "1000000000"}
_FSYNC: Final = {"flush.messages": "1"}

_OURS_NOTE: Final = (
    f"{OURS}: this server's default, every append is flushed, acks=all answered after that; {OURS_RELAXED}: topics "
    "with flush.messages=1000000000, durability as Kafka's default"
)
_NOTES: Final = {
    "kafka": f"{KAFKA}: {kafka.ABOUT}; topics with its defaults (no flush), or with flush.messages=1",
    "tansu": f"{TANSU}: {tansu.ABOUT}",
}
_TURNS: Final = (
    "all servers run all the time and are measured in turn, A B A B, after each was warmed up; a ratio is of two runs "
    "of the same round. Median (least to most) of the rounds; clients and servers share the machine"
)


@dataclass(frozen=True, slots=True)
class Contestant:
    """A running server together with the settings that its topics get."""

    name: str
    address: str
    """HOST:PORT of Kafka's protocol."""
    pid: int
    topic_settings: Mapping[str, str]
    grpc: str = ""
    """HOST:PORT of this server's other door."""
    data: Path | None = None
    """Where its logs are."""

    @property
    def is_ours(self) -> bool:
        return bool(self.grpc)

    @property
    def counts_records(self) -> bool:
        """Whether its high watermarks tell how many records there are."""
        return self.name != TANSU


@contextmanager
def started(
    directory: Path,
    report: Report,
    peers: Collection[str] = PEERS,
    settings: Mapping[str, str] | None = None,
    kafka_settings: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Contestant]]:
    """Starts the servers; what can't be had is left out, and the report says why.

    Args:
        directory: for their data.
        report: gets the notes.
        peers: of PEERS.
        settings: of this server.
        kafka_settings: of Apache Kafka.
    """
    for note in (_OURS_NOTE, *(_NOTES[name] for name in peers), _TURNS):
        report.note(note)
    with ExitStack() as stack:
        found: dict[str, Contestant] = {}
        data = directory / "ours"
        ours = stack.enter_context(log_server(data, directory / "ours.log", settings, with_kafka=True))
        for name, topics in ((OURS, {}), (OURS_RELAXED, RELAXED)):
            report.server(name, our_version(), {**(settings or {}), **_of_topics(topics)})
            found[name] = Contestant(name, ours.kafka, ours.pid, topics, ours.address, data)
        if "kafka" in peers:
            with left_out(report, KAFKA):
                folder = directory / "kafka"
                it = stack.enter_context(kafka.Installation(folder, kafka_settings).start())
                for name, topics in ((KAFKA, {}), (KAFKA_FSYNC, _FSYNC)):
                    report.server(name, it.name, {**it.settings, **_of_topics(topics)})
                    found[name] = Contestant(name, it.address, it.pid, topics, data=folder / "data")
        if "tansu" in peers:
            with left_out(report, TANSU):
                broker = stack.enter_context(tansu.tansu(directory / "tansu"))
                report.server(TANSU, broker.name, broker.settings)
                found[TANSU] = Contestant(TANSU, broker.address, broker.pid, {})
        yield found


def _of_topics(settings: Mapping[str, str]) -> dict[str, str]:
    return {f"{name} of topics": value for name, value in settings.items()}


@contextmanager
def left_out(report: Report, name: str) -> Iterator[None]:
    """Goes on behind the `with` if a peer can't be had, and says so."""
    try:
        yield
    except CannotHavePeer as error:
        text = f"without {name}: {error}"
        progress(text)
        report.note(text)
