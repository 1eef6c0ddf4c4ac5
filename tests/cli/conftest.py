"""A real server, and the command run against it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from logserver.cli import main
from logserver.testing import LogServer


class Commands:
    """Runs `logserver` commands in this process against one server."""

    def __init__(self, server: LogServer) -> None:
        self.server = server
        self._topics = 0

    def run(self, *arguments: str, input: str | bytes | None = None) -> Result:
        return CliRunner(env={"LOGSERVER_SERVER": self.server.grpc}).invoke(main, arguments, input=input)

    def ok(self, *arguments: str, input: str | bytes | None = None) -> Result:
        result = self.run(*arguments, input=input)
        assert result.exit_code == 0, result.output
        return result

    def json(self, *arguments: str, input: str | bytes | None = None) -> Any:
        return json.loads(self.ok(*arguments, "--json", input=input).stdout)

    def topic(self, partitions: int = 1, **config: str) -> str:
        """Makes a topic of a name of its own; settings with underscores for dots."""
        self._topics += 1
        name = f"topic-{self._topics}"
        settings = [f"--config={key.replace('_', '.')}={value}" for key, value in config.items()]
        self.ok("topics", "create", name, "--partitions", str(partitions), *settings)
        return name

    def records(self, *arguments: str) -> list[dict[str, Any]]:
        """What a reading command prints with --format json."""
        return [json.loads(line) for line in self.ok(*arguments, "--format", "json").stdout.splitlines()]


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with LogServer() as server:
        yield Commands(server)


class Process:
    """A `logserver` command in a process of its own."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LOGSERVER_")}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "logserver", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # What a test reads line by line and what `end` reads are the whole: nothing stays in a buffer in between.
            bufsize=0,
            env=clean | environment,
        )

    def end(self, signal: int | None = None) -> tuple[int, str, str]:
        """Sends a signal, if one is given, and waits; returns exit code, standard output and standard error."""
        if signal is not None:
            self.popen.send_signal(signal)
        out, err = self.popen.communicate(timeout=60)
        return self.popen.returncode, out.decode(), err.decode()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.communicate()
