"""Answers made comparable: what differs between any two servers gets a name in its place.

Ids of topics and producers, session ids and the UUIDs in member ids become names, by the order in which they first
appear; ports, paths, sizes of disks and times near now become words; texts for people become `<text>`.
"""

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .batches import read_back
from .session import Exchange

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<![\w-])[A-Za-z0-9_-]{22}(?![\w-])")
_TEXTS: Final = ("error_message", "documentation", "batch_index_error_message")
_WORDS: Final = {
    "port": "<port>",
    "cluster_id": "<cluster>",
    "log_dir": "<path>",
    "path": "<path>",
    "total_bytes": "<bytes>",
    "usable_bytes": "<bytes>",
    "finalized_features_epoch": "<epoch>",
    "broker_epoch": "<epoch>",
    "replica_directory_id": "<id>",
    "subscription_id": "<id>",
    "client_instance_id": "<id>",
}
_UNSET: Final = (None, "", -1, 0, "A" * 22)
MADE_UP_PRODUCERS: Final = 4_000_000
"""From here on, producer ids are the script's own."""
_HOUR_MS: Final = 3_600_000
_BATCHES: Final = ("records",)
_TOPIC_NAMES: Final = ("name", "topic", "topic_name")


def _is_made_up(text: Any) -> bool:
    """Whether an id is one of the script's own, or that of nothing."""
    return isinstance(text, str) and text.startswith("AAAAAAAA")


class Normalizer:
    """Makes the answers of one server comparable.

    Args:
        base_ms: that of the session: a time for records, which is shown as the distance from it.
        topics: names by ids, beside those that answers tell.
    """

    def __init__(self, base_ms: int, topics: Mapping[str, str] | None = None) -> None:
        self._base_ms = base_ms
        self._now_ms = int(time.time() * 1000)
        self._ids: dict[Any, str] = {topic_id: f"<id of {name}>" for topic_id, name in (topics or {}).items()}
        self._counts: dict[str, int] = {}

    def all(self, exchanges: Iterable[Exchange]) -> list[Exchange]:
        """Returns the exchanges with comparable answers."""
        found = list(exchanges)
        for exchange in found:
            self._learn_topics(exchange.answer)
        return [
            Exchange(each.part, each.label, each.api_key, each.version, self._value("", each.answer)) for each in found
        ]

    def _learn_topics(self, value: Any) -> None:
        if isinstance(value, list):
            for part in value:
                self._learn_topics(part)
        if not isinstance(value, dict):
            return
        topic_id = value.get("topic_id")
        name = next((value[key] for key in _TOPIC_NAMES if isinstance(value.get(key), str) and value[key]), None)
        if name and topic_id not in _UNSET and not _is_made_up(topic_id):
            self._ids.setdefault(topic_id, f"<id of {name}>")
        for part in value.values():
            self._learn_topics(part)

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._value(key, part) for key, part in value.items()}
        if isinstance(value, list):
            return [self._value(name, part) for part in value]
        if isinstance(value, bytes):
            return self._value("", read_back(value)) if name in _BATCHES else value.hex(" ")
        if isinstance(value, bool) or value is None:
            return value
        if name in _WORDS:
            return value if value in _UNSET else _WORDS[name]
        if isinstance(value, int):
            return self._number(name, value)
        if isinstance(value, str):
            return self._text(name, value)
        return value

    def _number(self, name: str, value: int) -> Any:
        if name == "producer_id" and 0 <= value < MADE_UP_PRODUCERS:
            return self._named("producer", (name, value))
        if name == "session_id" and value:
            return self._named("session", (name, value))
        if abs(value - self._now_ms) < _HOUR_MS:
            return "<now>"
        if 0 <= value - self._base_ms < _HOUR_MS:
            return f"base+{value - self._base_ms}"
        return value

    def _text(self, name: str, value: str) -> str:
        if name in _TEXTS:
            return value and "<text>"
        if name.endswith("error_code"):
            return value
        if value in self._ids:
            return self._ids[value]
        if _is_made_up(value):
            return value
        base = re.sub(r"\d{13}", lambda found: str(self._number("", int(found[0]))), value)
        return _UUID.sub(lambda found: self._ids.get(found[0]) or self._named("uuid", found[0]), base)

    def _named(self, kind: str, key: Any) -> str:
        if key not in self._ids:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            self._ids[key] = f"<{kind} {number}>"
        return self._ids[key]
