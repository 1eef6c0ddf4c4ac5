"""Servers as processes of their own, started as users start them."""

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

import grpc
from logserverpb.v1 import admin_pb2_grpc, log_pb2_grpc

START_S = 20
"""How long a server may take to be ready here, whatever else the machine does; only a failing test waits so long."""


class ServerProcess:
    """`python -m logserver serve`; killed when the test ends, if it still runs."""

    def __init__(self, data_dir: Path, *arguments: str, settings: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.command = [sys.executable, "-m", "logserver", "serve", "--data-dir", str(data_dir)]
        if "--grpc-listen" not in arguments:
            self.command += ["--grpc-listen", "127.0.0.1:0"]
        if "--kafka-listen" not in arguments:
            self.command += ["--kafka-listen", "127.0.0.1:0"]
        self.command += arguments
        for name, value in (settings or {}).items():
            self.command += ["--set", f"{name}={value}"]
        self.errors: list[str] = []
        self.output: list[str] = []

    def start(self) -> "ServerProcess":
        """Starts it and waits for its ready line."""
        self.spawn()
        line = self._lines.get(timeout=START_S)
        assert line is not None, f"it ended with {self.process.wait()}: {''.join(self.errors)}"
        assert line.startswith("ready "), line
        doors = dict(item.split("=", 1) for item in line.split()[1:])
        self.grpc, self.kafka = doors["grpc"], doors.get("kafka", "")
        return self

    def spawn(self) -> "ServerProcess":
        """Starts it and waits for nothing."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LOGSERVER_")}
        self.errors, self.output = [], []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, bufsize=1
        )
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        return self

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)

    def ended(self, timeout_s: float = START_S) -> int:
        """Waits for its end; returns the exit code. Output and errors are whole then."""
        code = self.process.wait(timeout_s)
        for reader in self._readers:
            reader.join()
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 10) -> int:
        """Ends it by a signal; within ten seconds, as is promised."""
        self.process.send_signal(number)
        return self.ended(timeout_s)

    def kill(self) -> None:
        self.process.kill()
        self.ended()

    @property
    def rss_anon_bytes(self) -> int:
        """Its anonymous resident memory."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no RssAnon")

    def __enter__(self) -> "ServerProcess":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.ended()


class Client:
    """Stubs on a channel of this thread."""

    def __init__(self, address: str) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(address, options=options)
        self.log = log_pb2_grpc.LogStub(self.channel)
        self.admin = admin_pb2_grpc.AdminStub(self.channel)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()
