"""The commands of the log server, run as a user would run them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

TIMEOUT_S: Final = 120


class CommandError(Exception):
    """A command ended with an error."""


class Commands:
    """`logserver ... --server ADDRESS` for one server."""

    def __init__(self, address: str) -> None:
        self._address = address

    def run(self, *arguments: str) -> str:
        """Runs a command; returns its standard output. Raises `CommandError` if it fails."""
        command = [sys.executable, "-m", "logserver", *arguments, "--server", self._address]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S)
        if done.returncode != 0:
            raise CommandError(f"logserver {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    def document(self, *arguments: str) -> Any:
        """The JSON document that a command with `--json` prints."""
        return json.loads(self.run(*arguments, "--json"))

    def records(self, *arguments: str) -> Iterator[dict[str, Any]]:
        """The records that a command with `--format json` prints, one object a line."""
        return map(json.loads, self.run(*arguments, "--format", "json").splitlines())
