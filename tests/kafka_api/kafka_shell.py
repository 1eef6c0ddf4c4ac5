"""Apache Kafka's tools, run against one server."""

from collections.abc import Mapping
from typing import Final

from ..other_clients.kafka_tools import KafkaShell, KafkaTools

TOPICS: Final = "TopicCommand"
CONFIGS: Final = "kafka.admin.ConfigCommand"
GROUPS: Final = "consumer.group.ConsumerGroupCommand"


class Shell:
    """Runs tools against one server.

    Args:
        kafka: the process of the tools.
        server: HOST:PORT.
    """

    def __init__(self, kafka: KafkaShell, server: str) -> None:
        self._kafka = kafka
        self._server = server

    def __call__(self, program: str, *arguments: str, fails: bool = False, stdin: str = "") -> str:
        """Returns what a tool prints; it has to succeed, or to fail."""
        done = self._kafka.run(program, "--bootstrap-server", self._server, *arguments, stdin=stdin)
        assert bool(done.status) == fails, done.printed
        return done.printed

    def alone(self, program: str, *arguments: str) -> str:
        """Returns what a tool prints that needs a process of its own; it has to succeed."""
        done = KafkaTools().run(program, "--bootstrap-server", self._server, *arguments)
        assert done.status == 0, done.printed
        return done.printed


def each(option: str, *values: str) -> list[str]:
    """Returns an option that is given once for each value."""
    return [word for value in values for word in (option, value)]


def rows(printed: str) -> list[Mapping[str, str]]:
    """Returns the rows of a table that a tool has printed, perhaps between other lines."""
    lines = [line.split() for line in printed.splitlines() if line.strip()]
    head = next(number for number, line in enumerate(lines) if line[0] in ("GROUP", "TOPIC"))
    return [dict(zip(lines[head], line, strict=True)) for line in lines[head + 1 :] if len(line) == len(lines[head])]
