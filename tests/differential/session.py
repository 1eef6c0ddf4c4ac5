"""What the parts of the script work with: one server, the requests sent to it, and all that it answered."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from .keys import Key
from .wire import Closed, Wire

Answer: TypeAlias = dict[str, Any]

_SETTLE_SECONDS: Final = 20
_ASK_AGAIN_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came of it."""

    part: str
    """The part of the script."""
    label: str
    """What the request is about; unique within its part."""
    api_key: int
    version: int
    answer: Answer
    """The response; where there is none, what happened instead, under `connection`."""


@dataclass
class Session:
    """One server, as the script sees it.

    Args:
        address: HOST:PORT.
        base_ms: a time two hours ago, the same for both servers, for timestamps of records.
    """

    address: str
    base_ms: int
    part: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    topics: dict[str, str] = field(default_factory=dict)
    """Names of the topics that were made by ids."""
    _wire: Wire | None = None

    def ask(self, label: str, key: int, version: int, message: Mapping[str, Any]) -> Answer:
        """Sends a request, notes what is answered, and returns that."""
        return self._note(label, key, version, self._call(key, version, message))

    def ask_body(self, label: str, key: int, version: int, body: bytes) -> Answer:
        """The same for a request whose bytes behind the client id are given; the answer is read as `version`."""
        try:
            self._connected().send_body(key, version, body)
            answer = self._connected().receive(key, version)
        except (Closed, ValueError, TimeoutError) as error:
            answer = self._lost(error)
        return self._note(label, key, version, answer)

    def settle(
        self, label: str, key: int, version: int, message: Mapping[str, Any], is_settled: Callable[[Answer], bool]
    ) -> Answer:
        """Asks again until the answer is one to go on with, and notes only that one: Kafka answers changes before
        they have arrived everywhere. After twenty seconds the last answer has to do."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            answer = self._call(key, version, message)
            if time.monotonic() > deadline:
                return self._note(label, key, version, answer)
            try:
                if is_settled(answer):
                    return self._note(label, key, version, answer)
            except (KeyError, IndexError):
                pass
            time.sleep(_ASK_AGAIN_SECONDS)

    def begin(self, key: int, version: int, message: Mapping[str, Any]) -> "Begun":
        """Sends a request on a connection of its own, for answers that others have to be asked for first."""
        return Begun(self, key, version, message)

    def send_only(self, label: str, key: int, version: int, message: Mapping[str, Any], *, is_closed: bool) -> None:
        """Sends a request that has no answer; notes whether the connection ends.

        Args:
            is_closed: what is expected; where it is not to end, the next request shows it.
        """
        wire = Wire(self.address)
        wire.send(key, version, message)
        try:
            if is_closed:
                wire.receive(key, version)
                answer = {"connection": "answered"}
            else:
                wire.call(Key.API_VERSIONS, 0, {})
                answer = {"connection": "open"}
        except (Closed, ValueError, TimeoutError) as error:
            answer = {"connection": str(error)}
        wire.close()
        self._note(label, key, version, answer)

    def topic(self, name: str, partitions: int = 1, settings: Mapping[str, str] | None = None) -> str:
        """Creates a topic, waits until it is led, and returns its id. Not noted."""
        configs = [{"name": key, "value": value} for key, value in (settings or {}).items()]
        asked = {"name": name, "num_partitions": partitions, "replication_factor": 1, "configs": configs}
        created = self._call(Key.CREATE_TOPICS, 7, {"topics": [asked], "timeout_ms": 20_000})
        if created["topics"][0]["error_code"] != "NONE":
            raise RuntimeError(f"the topic {name} can't be created: {created}")
        self.wait_for_topic(name, partitions)
        topic_id: str = created["topics"][0]["topic_id"]
        self.topics[topic_id] = name
        return topic_id

    def wait_for_topic(self, name: str, partitions: int = 1) -> None:
        """Waits until all partitions of a topic are led."""
        message = {"topics": [{"name": name}], "allow_auto_topic_creation": False}
        deadline = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < deadline:
            (topic,) = self._call(Key.METADATA, 12, message)["topics"]
            led = [part for part in topic["partitions"] if part["error_code"] == "NONE"]
            offsets = [{"partition_index": index, "timestamp": -1} for index in range(partitions)]
            asked = {"replica_id": -1, "topics": [{"name": name, "partitions": offsets}]}
            answered = self._call(Key.LIST_OFFSETS, 4, asked)["topics"][0]["partitions"]
            if len(led) == partitions and all(part["error_code"] == "NONE" for part in answered):
                return
            time.sleep(_ASK_AGAIN_SECONDS)
        raise TimeoutError(f"the topic {name} is not led")

    def quiet(self, key: int, version: int, message: Mapping[str, Any]) -> Answer:
        """Sends a request that is not noted, such as a part's preparations."""
        return self._call(key, version, message)

    def note(self, label: str, key: int, version: int, answer: Answer) -> Answer:
        """Notes an answer that was read elsewhere."""
        return self._note(label, key, version, answer)

    def close(self) -> None:
        """Closes the connection."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _note(self, label: str, key: int, version: int, answer: Answer) -> Answer:
        self.exchanges.append(Exchange(self.part, label, key, version, answer))
        return answer

    def _connected(self) -> Wire:
        if self._wire is None:
            self._wire = Wire(self.address)
        return self._wire

    def _call(self, key: int, version: int, message: Mapping[str, Any]) -> Answer:
        try:
            return self._connected().call(key, version, message)
        except (Closed, ValueError, TimeoutError) as error:
            return self._lost(error)

    def _lost(self, error: Exception) -> Answer:
        self.close()
        return {"connection": str(error)}


class Begun:
    """A request under way on a connection of its own."""

    def __init__(self, session: Session, key: int, version: int, message: Mapping[str, Any]) -> None:
        self._session = session
        self._key, self._version = key, version
        self._wire = Wire(session.address)
        self._wire.send(key, version, message)

    def answer(self, label: str) -> Answer:
        """Waits for the answer, notes and returns it."""
        try:
            answer = self._wire.receive(self._key, self._version)
        except (Closed, ValueError, TimeoutError) as error:
            answer = {"connection": str(error)}
        self._wire.close()
        return self._session.note(label, self._key, self._version, answer)
