"""Apache Kafka as a process: one node, broker and controller in one, on loopback, in a folder that goes at the end."""

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from .maven import CannotHaveKafka

CLUSTER_ID: Final = "MkU3OEVBNTcwNTJENDM2Qg"
_START_SECONDS: Final = 90
_STOP_SECONDS: Final = 20
QUICK_START: Final = ("-Xmx768m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options of a JVM that is to be there soon, and not to be fast."""
STARTED: Final = re.compile(r"Kafka Server started")
"""What it prints when it is there."""
LOG_SETTINGS: Final = """<Configuration status="error">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %m (%c)%n"/></Console></Appenders>
  <Loggers><Root level="info"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def single_node(port: int, controller: int, data: Path) -> dict[str, str]:
    """Returns the settings of a node that is broker and controller in one, on loopback, with its own topics for one.

    Args:
        port: of the broker.
        controller: the controller's port.
        data: folder of its logs.
    """
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
    }


class KafkaProcess:
    """A broker that runs inside a `with`.

    Args:
        jars: the folder of `maven.jars`.
        folder: for its settings, data and log; made, and removed when it has stopped.
        settings: beside those that a single node needs.
        options: of the JVM.
        keeps_data: whether its data is still there when it has stopped.
    """

    def __init__(
        self,
        jars: Path,
        folder: Path,
        settings: Mapping[str, str],
        options: Sequence[str] = QUICK_START,
        *,
        keeps_data: bool = False,
    ) -> None:
        self._keeps_data = keeps_data
        self._java = ("java", *options, "-cp", f"{jars}/*")
        self._has_log = any(jars.glob("log4j-slf4j-impl-*"))
        self._folder = folder
        self._settings = dict(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""
        """HOST:PORT."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """Returns what it has printed."""
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / "server.log").read_text(errors="replace")
        return ""

    def _start(self) -> None:
        self._folder.mkdir(parents=True)
        port, controller = _free_port(), _free_port()
        self.address = f"127.0.0.1:{port}"
        settings = {**single_node(port, controller, self.data), **self._settings}
        file = self._folder / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        (self._folder / "log4j2.xml").write_text(LOG_SETTINGS)
        java = (*self._java, f"-Dlog4j2.configurationFile={self._folder / 'log4j2.xml'}")
        format_it = (*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(file))
        done = subprocess.run(format_it, capture_output=True, text=True, timeout=_START_SECONDS)
        if done.returncode != 0:
            raise CannotHaveKafka(f"Apache Kafka can't format its storage: {(done.stdout + done.stderr)[-500:]}")
        with (self._folder / "server.log").open("wb") as output:
            command = (*java, "kafka.Kafka", str(file))
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        self._wait()

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while not (STARTED.search(self.log()) if self._has_log else self._answers()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CannotHaveKafka(f"Apache Kafka did not start; it last said: {self.log()[-1000:]}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        """Asks for its topics, which it answers when it has started; for where it prints no log."""
        with contextlib.suppress(KafkaException):
            return bool(AdminClient({"bootstrap.servers": self.address, "log_level": 0}).list_topics(timeout=1).brokers)
        return False

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if not self._keeps_data:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self._folder / "data"

    def kill(self) -> None:
        """Ends it at once, as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
