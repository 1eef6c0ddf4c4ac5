"""Apache Kafka from Maven Central: one KRaft node, with what its own start script gives the JVM."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.peers.fetching import FOLDER, needs
from benchmarks.peers.process import CannotHavePeer, Peer, free_port
from tests.differential.kafka_process import CLUSTER_ID, LOG_SETTINGS, STARTED, single_node
from tests.differential.maven import RELEASE, CannotHaveKafka, jars

NAME: Final = f"Apache Kafka {RELEASE}"
_FORMAT_S: Final = 90
_JVM: Final = (
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
)
_OF_THIS_RUN: Final = ("listeners", "controller.quorum.voters", "log.dirs")
"""Settings that are ports and folders."""
ABOUT: Final = f"one KRaft node, 1 GiB heap, default settings; JVM: {' '.join(_JVM)}"


def fetch(*, may_fetch: bool = False) -> Path:
    """Returns the folder of its jars.

    Raises:
        CannotHavePeer: it can't be had.
    """
    folder = FOLDER.parent / "differential"
    if not may_fetch and not (folder / f"kafka-{RELEASE}").is_dir():
        needs("java", "mvn")
        raise CannotHavePeer("its jars are not there: python -m benchmarks.peers fetch")
    try:
        return jars(folder)
    except CannotHaveKafka as error:
        raise CannotHavePeer(str(error)) from error


def java_version() -> str:
    """Returns the version of the Java that runs it."""
    said = subprocess.run(("java", "-version"), capture_output=True, text=True, check=True).stderr
    return said.splitlines()[0]


class Installation:
    """A formatted data directory, on which Kafka can be started again and again."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._java = ("java", *_JVM, f"-Dlog4j2.configurationFile={folder / 'log4j2.xml'}", "-cp", f"{fetch()}/*")
        port, controller = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        folder.mkdir(parents=True)
        whole = {**single_node(port, controller, folder / "data"), **(settings or {})}
        self._told = {name: value for name, value in whole.items() if name not in _OF_THIS_RUN}
        self._told |= {"JVM": " ".join(_JVM), "Java": java_version()}
        self._properties = folder / "server.properties"
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in whole.items()))
        (folder / "log4j2.xml").write_text(LOG_SETTINGS)
        self._format()

    def _format(self) -> None:
        command = (*self._java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._properties))
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_S, check=False)
        if done.returncode:
            raise CannotHavePeer(f"Apache Kafka can't format its storage: {(done.stdout + done.stderr)[-500:]}")

    def start(self, *, wait: bool = True) -> Peer:
        """Starts it; returns when it says that it is there, or without waiting."""
        log = self._folder / "server.log"
        said_before = log.stat().st_size if log.exists() else 0

        def ready() -> bool:
            return not wait or STARTED.search(log.read_text(errors="replace")[said_before:]) is not None

        command = (*self._java, "kafka.Kafka", str(self._properties))
        return Peer(NAME, self.address, command, self._folder, ready, settings=self._told)


@contextmanager
def kafka(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Peer]:
    """Starts Apache Kafka on an empty directory."""
    with Installation(folder, settings).start() as peer:
        yield peer
