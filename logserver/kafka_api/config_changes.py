"""Changes of settings that AlterConfigs and IncrementalAlterConfigs ask for: checked, and handed to who keeps them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from logserver.broker import Broker
from logserver.broker.configs import ConfigKind
from logserver.broker.dynamic_settings import DYNAMIC_SETTINGS
from logserver.broker.topics import INTERNAL_TOPICS, check_name
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.config_resources import ResourceType, check_node, need_name, unknown_type
from logserver.settings import (
    CLIENT_METRICS_DEFINITIONS,
    GROUP_DEFINITIONS,
    SERVER_DEFINITIONS,
    TOPIC_DEFINITIONS,
    Definition,
    SettingsError,
    format_value,
    parse_value,
    topic_default,
    unknown_setting,
)

Change = Callable[["Target", Mapping[str, str]], Mapping[str, str]]
"""Gets what is changed and the settings that it has of its own, and returns those that it is to have."""


class Target(NamedTuple):
    """A kind of thing with settings."""

    what: str
    definitions: Mapping[str, Definition]
    is_appendable: bool
    """Whether its lists can be appended to: Apache Kafka allows that for topics and brokers."""
    unknown: ErrorCode = ErrorCode.invalid_config
    wrong: ErrorCode = ErrorCode.invalid_config

    def default(self, broker: Broker, name: str) -> str:
        """Returns the value in force where it has none of its own."""
        definition = self.definitions[name]
        if self is BROKERS:
            return format_value(getattr(broker.settings, definition.attribute))
        return format_value(topic_default(definition, broker.settings))

    def check(self, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        """Checks the settings that are new or different.

        Raises:
            LogServerError: one is unknown or has a wrong value.
        """
        for name, text in new.items():
            if old.get(name) == text:
                continue
            definition = self.definitions.get(name)
            if definition is None:
                problem = unknown_setting(name, self.definitions, what=f"a setting of {self.what}")
                raise LogServerError(self.unknown, problem.message)
            try:
                parse_value(definition, text)
            except SettingsError as error:
                # Apache Kafka has a code of its own for patterns that it can't read.
                code = ErrorCode.invalid_config if definition.kind == "list" else self.wrong
                raise LogServerError(code, error.message) from None


TOPICS = Target("a topic", TOPIC_DEFINITIONS, True)
BROKERS = Target("the server", SERVER_DEFINITIONS, True, ErrorCode.invalid_request, ErrorCode.invalid_request)
GROUPS = Target("a group", GROUP_DEFINITIONS, False)
CLIENT_METRICS = Target(
    "a subscription to metrics",
    CLIENT_METRICS_DEFINITIONS,
    False,
    ErrorCode.invalid_request,
    ErrorCode.invalid_request,
)


async def change_settings(broker: Broker, kind: int, name: str, change: Change, *, validate_only: bool) -> None:
    """Changes the settings of a topic, a broker or all of them, a group or a subscription.

    Args:
        kind: a resource type as in the request.

    Raises:
        LogServerError: there is no such thing, `change` refuses, or what comes of it is not valid.
    """
    match kind:
        case ResourceType.TOPIC:
            need_name(name, "a topic")
            if name not in INTERNAL_TOPICS:
                check_name(name)
            await broker.change_topic(name, lambda old: _checked(TOPICS, change, old), validate_only=validate_only)
            return
        case ResourceType.BROKER:
            target, own = BROKERS, ConfigKind.BROKER
            if name:
                check_node(broker, name)
        case ResourceType.GROUP:
            target, own = GROUPS, ConfigKind.GROUP
            need_name(name, "a group")
        case ResourceType.CLIENT_METRICS:
            target, own = CLIENT_METRICS, ConfigKind.CLIENT_METRICS
            need_name(name, "a subscription")
        case other:
            raise unknown_type(other)

    def decide(old: Mapping[str, str]) -> Mapping[str, str]:
        new = _checked(target, change, old)
        if target is BROKERS:
            _check_dynamic(old, new)
        elif target is GROUPS:
            _check_group(broker, new)
        return new

    await broker.configs.change(own, name, decide, validate_only=validate_only)


def _checked(target: Target, change: Change, old: Mapping[str, str]) -> Mapping[str, str]:
    new = change(target, old)
    target.check(old, new)
    return new


def _check_dynamic(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    fixed = sorted(name for name, text in new.items() if name not in DYNAMIC_SETTINGS and old.get(name) != text)
    if fixed:
        raise LogServerError(
            ErrorCode.invalid_request,
            f"{', '.join(fixed)} can't be changed while the server runs; set it where the server is started",
        )


def _check_group(broker: Broker, new: Mapping[str, str]) -> None:
    for name, text in new.items():
        bounds = _bounds(broker, name)
        if bounds is not None and not bounds[0] <= int(text) <= bounds[1]:
            raise LogServerError(
                ErrorCode.invalid_config,
                f"{name}={text} has to be from {bounds[0]} to {bounds[1]}, as the server is set",
            )
    for kind in sorted({name.partition(".")[0] for name in new}):
        heartbeat, session = f"{kind}.heartbeat.interval.ms", f"{kind}.session.timeout.ms"
        heartbeat_ms, session_ms = (int(new.get(name, GROUPS.default(broker, name))) for name in (heartbeat, session))
        if heartbeat_ms >= session_ms:
            raise LogServerError(
                ErrorCode.invalid_config, f"{heartbeat}={heartbeat_ms} has to be less than {session}={session_ms}"
            )


def _bounds(broker: Broker, name: str) -> tuple[int, int] | None:
    """Returns what a setting of a group may be, by the server's settings; None where these have no bounds."""
    kind, _, rest = name.partition(".")
    least = SERVER_DEFINITIONS.get(f"group.{kind}.min.{rest}")
    most = SERVER_DEFINITIONS.get(f"group.{kind}.max.{rest}")
    if least is None or most is None:
        return None
    return getattr(broker.settings, least.attribute), getattr(broker.settings, most.attribute)
