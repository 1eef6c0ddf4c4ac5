"""Share consumers of Apache Kafka's own Java client (KIP-932, KIP-1222)."""

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from .java_program import JavaProgram

_WAIT_SECONDS: Final = 60
_POLL_MS: Final = 500


class Polled(NamedTuple):
    """A record as a member has it."""

    partition: int
    offset: int
    value: str
    deliveries: int
    """How often it was delivered, this time included."""


class JavaMember:
    """A member of a share group. Its methods are those of `KafkaShareConsumer`.

    Raises:
        JavaError: from any of them, the consumer has thrown something.
    """

    def __init__(self, program: "JavaShareConsumers", name: str) -> None:
        self._program = program
        self._name = name
        self.lock_ms: int | None = None
        """How long the records are locked that were polled last, as the consumer says."""

    def poll(self, ms: int = _POLL_MS) -> list[Polled]:
        """Returns the next records, none if none come in that time."""
        answer = self._program.ask("poll", self._name, ms=ms)
        self.lock_ms = answer["lock_ms"]
        return [Polled(**record) for record in answer["records"]]

    def take(self) -> list[Polled]:
        """Returns the next records, at least one."""
        end = time.monotonic() + _WAIT_SECONDS
        while not (found := self.poll()):
            assert time.monotonic() < end, f"{self._name} gets nothing"
        return found

    def acknowledge(self, records: Iterable[Polled], kind: str = "ACCEPT") -> None:
        """Says something of records, which is sent with the next `commit` or `poll`."""
        places = [(record.partition, record.offset) for record in records]
        self._program.ask("acknowledge", self._name, records=places, type=kind)

    def commit(self) -> dict[int, str | None]:
        """Sends what was said; returns by partition the class of what went wrong, or None."""
        outcomes = self._program.ask("commit", self._name)["outcomes"]
        return {int(partition): outcome for partition, outcome in outcomes.items()}

    def close(self) -> None:
        """Leaves the group."""
        self._program.ask("close", self._name)


class JavaError(Exception):
    """What a consumer has thrown.

    Args:
        kind: its class, without the package.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class JavaShareConsumers(JavaProgram):
    """The process of any number of members: `ShareConsumers.java`, which says what goes over its pipes."""

    def __init__(self) -> None:
        super().__init__("ShareConsumers")
        self._opened = 0

    def open(self, server: str, topic: str, group: str, settings: Mapping[str, str]) -> JavaMember:
        """Returns a new member.

        Args:
            server: HOST:PORT.
            settings: more of the consumer.
        """
        self._opened += 1
        name = f"member {self._opened}"
        self.ask("open", name, topic=topic, settings={"bootstrap.servers": server, "group.id": group, **settings})
        return JavaMember(self, name)

    def ask(self, what: str, member: str, **more: Any) -> dict[str, Any]:
        """Has a member do something; returns the answer.

        Raises:
            JavaError: its consumer has thrown something.
        """
        request = json.dumps({"do": what, "member": member, **more})
        with self._asked(f"{request}\n".encode()) as answers:
            line = answers.readline()
        if not line.endswith(b"\n"):
            raise self._over()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise JavaError(answer["error"], answer["message"])
        return answer
