"""Settings that the metadata store holds: the server's dynamic ones, those of groups, subscriptions to metrics."""

import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from logserver_segments.logs import get_logger

from logserver.broker.dynamic_settings import with_dynamic
from logserver.broker.following import Follower
from logserver.errors import ErrorCode, LogServerError
from logserver.metadata import Compare, Delete, Event, MetadataStore, Operation, Put
from logserver.settings import ServerSettings

_log = get_logger("logserver.broker")

CONFIGS_PREFIX: Final = b"/configs/"

Decide = Callable[[Mapping[str, str]], Mapping[str, str]]
"""Gets the settings that something has of its own, dotted name to text, and returns those that it is to have.

May be called several times, and raise a LogServerError.
"""


class ConfigKind(StrEnum):
    """What has settings of its own, apart from topics."""

    BROKER = "broker"
    """A node by its id; the empty name is all nodes' default."""
    GROUP = "group"
    CLIENT_METRICS = "client-metrics"


class _Config(NamedTuple):
    settings: Mapping[str, str]
    revision: int


def settings_in(kind: ConfigKind, name: str, value: bytes) -> Mapping[str, str]:
    """Returns the settings in a value of the metadata store."""
    try:
        settings = json.loads(value)["settings"]
        if not isinstance(settings, dict):
            raise TypeError("they are no JSON object")
    except (ValueError, KeyError, TypeError) as error:
        raise LogServerError(
            ErrorCode.unknown_server_error,
            f"the settings of the {kind} {name!r} can't be read by this version of the server: {error}",
        ) from error
    return settings


class Configs:
    """The settings that are stored, and the server's settings with them.

    Args:
        base: the server's settings without them.
        reconfigure: puts changed settings of the server into force, with turns for others where it yields.
    """

    def __init__(
        self, base: ServerSettings, node_id: int, store: MetadataStore, reconfigure: Callable[[], Iterator[None]]
    ) -> None:
        self.base = base
        self.server = base
        """The server's settings in force."""
        self._node = str(node_id)
        self._reconfigure = reconfigure
        self._configs: dict[ConfigKind, dict[str, _Config]] = {kind: {} for kind in ConfigKind}
        self._listeners: list[Callable[[], None]] = []
        self.following = Follower(store, CONFIGS_PREFIX, self._apply, self._applied, "settings")

    def when_changed(self, changed: Callable[[], None]) -> None:
        """Calls whenever settings have changed, from here on; before the change is answered."""
        self._listeners.append(changed)

    def _applied(self) -> None:
        for changed in tuple(self._listeners):
            changed()

    def _apply(self, event: Event) -> Iterator[None]:
        kind_name, _, name = event.key.removeprefix(CONFIGS_PREFIX).decode().partition("/")
        if kind_name not in list(ConfigKind):
            _log.warning("settings that another version has stored are left alone", kind=kind_name, name=name)
            return
        kind = ConfigKind(kind_name)
        if event.value is None:
            self._configs[kind].pop(name, None)
        else:
            self._configs[kind][name] = _Config(settings_in(kind, name, event.value), event.revision)
        if kind is ConfigKind.BROKER:
            self.server = with_dynamic(self.base, self.get(kind, ""), self.get(kind, self._node))
            yield from self._reconfigure()

    # Look-ups

    def get(self, kind: ConfigKind, name: str) -> Mapping[str, str]:
        """Returns the settings that something has of its own, dotted name to text; empty if it has none."""
        found = self._configs[kind].get(name)
        return found.settings if found is not None else {}

    def names(self, kind: ConfigKind) -> list[str]:
        """Returns what has settings of its own, in order."""
        return sorted(self._configs[kind])

    # Changes

    async def change(self, kind: ConfigKind, name: str, decide: Decide, *, validate_only: bool = False) -> None:
        """Changes settings; who has none left is forgotten.

        Raises:
            LogServerError: what `decide` raises, or POLICY_VIOLATION at a limit.
        """
        while True:
            found = self._configs[kind].get(name)
            settings = dict(decide(found.settings if found is not None else {}))
            if found is None and settings:
                self._check_count(kind)
            if validate_only or settings == (found.settings if found is not None else {}):
                return
            key = CONFIGS_PREFIX + f"{kind}/{name}".encode()
            value = json.dumps({"settings": settings}, sort_keys=True, separators=(",", ":")).encode()
            operation: Operation = Put(key, value) if settings else Delete(key)
            compare = Compare(key, mod_revision=found.revision if found is not None else 0)
            # Where somebody else was faster it is decided again, on what is there now.
            if await self.following.change((compare,), (operation,)):
                return

    def _check_count(self, kind: ConfigKind) -> None:
        if kind is ConfigKind.GROUP:
            setting, most = "group.max.groups", self.server.group_max_groups
        elif kind is ConfigKind.CLIENT_METRICS:
            setting, most = "client.metrics.max.subscriptions", self.server.client_metrics_max_subscriptions
        else:
            return
        if len(self._configs[kind]) >= most:
            raise LogServerError(
                ErrorCode.policy_violation, f"{setting}={most} things of the kind {kind} have settings already"
            )
