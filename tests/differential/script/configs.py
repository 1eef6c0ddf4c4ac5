"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and ListConfigResources."""

from typing import Any, Final

from ..keys import Key
from ..session import Session
from .asking import describe

_TOPIC: Final = 2
_BROKER: Final = 4
_LOGGER: Final = 8
_METRICS: Final = 16
_GROUP: Final = 32
_SET: Final = 0
_DELETE: Final = 1
_APPEND: Final = 2
_SUBTRACT: Final = 3


class _Changes:
    """Changes that are numbered, because many look alike."""

    def __init__(self, s: Session) -> None:
        self._s = s
        self._number = 0

    def alter(
        self, kind: int, name: str, *operations: tuple[str, int, str | None], version: int = 1, validate: bool = False
    ) -> None:
        """IncrementalAlterConfigs of one resource."""
        configs = [{"name": key, "config_operation": op, "value": value} for key, op, value in operations]
        resource = {"resource_type": kind, "resource_name": name, "configs": configs}
        self._ask(f"alter {kind} {name!r} {operations}", Key.INCREMENTAL_ALTER_CONFIGS, version, resource, validate)

    def replace(
        self, kind: int, name: str, *settings: tuple[str, str | None], version: int = 2, validate: bool = False
    ) -> None:
        """AlterConfigs of one resource."""
        configs = [{"name": key, "value": value} for key, value in settings]
        resource = {"resource_type": kind, "resource_name": name, "configs": configs}
        self._ask(f"replace {kind} {name!r} {settings}", Key.ALTER_CONFIGS, version, resource, validate)

    def show(self, kind: int, name: str, *names: str, version: int = 4, synonyms: bool = True) -> None:
        """DescribeConfigs of one resource, again while a change is on its way."""
        self._number += 1
        label = f"{self._number} show {kind} {name!r} {names}"
        describe(self._s, label, kind, name, *names, version=version, synonyms=synonyms)

    def _ask(self, label: str, key: Key, version: int, resource: dict[str, Any], validate: bool) -> None:
        self._number += 1
        message = {"resources": [resource], "validate_only": validate}
        self._s.ask(f"{self._number} {label}", key, version, message)
        # Apache Kafka's broker hears of it a little later.
        if key in (Key.INCREMENTAL_ALTER_CONFIGS, Key.ALTER_CONFIGS):
            _let_arrive(self._s)


def _let_arrive(s: Session) -> None:
    """Makes a topic and waits for it: what was changed before is known everywhere then."""
    name = f"arrived-{len(s.exchanges)}"
    s.topic(name)
    s.quiet(Key.DELETE_TOPICS, 5, {"topic_names": [name], "timeout_ms": 20_000})


def incremental_configs(s: Session) -> None:
    """Operations on the settings of a topic."""
    s.topic("incremental", 1, {"retention.ms": "1000"})
    c, topic = _Changes(s), "incremental"
    c.alter(_TOPIC, topic, ("retention.ms", _SET, "2000"), ("cleanup.policy", _APPEND, "compact"))
    c.show(_TOPIC, topic, "retention.ms", "cleanup.policy")
    c.alter(_TOPIC, topic, ("cleanup.policy", _SUBTRACT, "delete"))
    c.show(_TOPIC, topic, "cleanup.policy")
    c.alter(_TOPIC, topic, ("cleanup.policy", _SUBTRACT, "nothing"))
    c.alter(_TOPIC, topic, ("cleanup.policy", _APPEND, "compact"))
    c.alter(_TOPIC, topic, ("cleanup.policy", _APPEND, "nonsense"))
    c.alter(_TOPIC, topic, ("cleanup.policy", _SUBTRACT, "compact"))
    c.show(_TOPIC, topic, "cleanup.policy")
    c.alter(_TOPIC, topic, ("cleanup.policy", _SET, "delete,compact"))
    c.alter(_TOPIC, topic, ("cleanup.policy", _SUBTRACT, "delete,compact"))
    c.alter(_TOPIC, topic, ("retention.ms", _APPEND, "5"))
    c.alter(_TOPIC, topic, ("retention.ms", _DELETE, None))
    c.show(_TOPIC, topic, "retention.ms")
    c.alter(_TOPIC, topic, ("retention.ms", _DELETE, None))
    for operation in (
        ("retention.ms", _SET, None),
        ("retention.ms", _SET, "x"),
        ("nonsense", _SET, "x"),
        ("nonsense", _DELETE, None),
        ("retention.ms", 7, "5"),
        ("min.insync.replicas", _SET, "2"),
        ("preallocate", _SET, "true"),
        ("remote.storage.enable", _SET, "true"),
        ("unclean.leader.election.enable", _SET, "true"),
    ):
        c.alter(_TOPIC, topic, operation)
    c.alter(_TOPIC, topic, ("retention.ms", _SET, "1"), ("retention.ms", _SET, "2"))
    c.alter(_TOPIC, topic, ("retention.ms", _SET, "3"), ("retention.ms", _DELETE, None))
    c.alter(_TOPIC, topic)
    for name in ("incremental-no", "", "bad name", "__consumer_offsets"):
        c.alter(_TOPIC, name, ("retention.ms", _SET, "600000000"))
    c.alter(_TOPIC, topic, ("retention.ms", _SET, "9"), validate=True)
    c.show(_TOPIC, topic, "retention.ms")
    c.alter(_TOPIC, topic, ("retention.ms", _SET, "x"), validate=True)
    c.alter(_TOPIC, topic, ("retention.ms", _SET, "77000"), version=0)
    resource = {"resource_type": _TOPIC, "resource_name": topic, "configs": []}
    s.ask("a resource twice", Key.INCREMENTAL_ALTER_CONFIGS, 1, {"resources": [resource] * 2})
    s.ask("no resources", Key.INCREMENTAL_ALTER_CONFIGS, 1, {"resources": []})
    for kind in (0, 1, 3, 64, 99):
        c.alter(kind, topic, ("a", _SET, "1"))
    s.topic("internal-settings", 1)
    c.show(_TOPIC, "__consumer_offsets", "cleanup.policy", "compression.type", "segment.bytes", "retention.ms")
    c.alter(_TOPIC, "__consumer_offsets", ("cleanup.policy", _SET, "delete"))
    c.alter(_TOPIC, "__consumer_offsets", ("cleanup.policy", _SET, "compact"))


def config_kinds(s: Session) -> None:
    """Brokers, groups, subscriptions of clients' metrics, loggers."""
    s.topic("kinds")
    c = _Changes(s)
    c.alter(_BROKER, "1", ("log.retention.ms", _SET, "100000"))
    c.show(_BROKER, "1", "log.retention.ms")
    c.show(_TOPIC, "kinds", "retention.ms")
    c.alter(_BROKER, "", ("log.retention.ms", _SET, "200000"))
    c.show(_BROKER, "1", "log.retention.ms")
    c.show(_BROKER, "", "log.retention.ms")
    c.show(_BROKER, "")
    c.alter(_BROKER, "1", ("log.retention.ms", _DELETE, None))
    c.show(_BROKER, "1", "log.retention.ms")
    c.show(_TOPIC, "kinds", "retention.ms")
    c.alter(_BROKER, "", ("log.retention.ms", _DELETE, None))
    c.show(_BROKER, "1", "log.retention.ms")
    for name, operation in (
        ("1", ("num.partitions", _SET, "3")),
        ("", ("num.partitions", _SET, "3")),
        ("1", ("log.retention.ms", _SET, "x")),
        ("", ("log.retention.ms", _SET, "x")),
        ("1", ("nonsense", _SET, "3")),
        ("2", ("log.retention.ms", _SET, "100")),
        ("x", ("log.retention.ms", _SET, "100")),
        ("1", ("node.id", _SET, "4")),
        ("", ("message.max.bytes", _SET, "-5")),
        ("1", ("max.connections", _SET, "1000")),
    ):
        c.alter(_BROKER, name, operation)
    c.alter(_BROKER, "1", ("nonsense", _DELETE, None))
    for name in ("2", "x"):
        c.show(_BROKER, name)
    names = ("log.retention.ms", "num.partitions", "message.max.bytes", "node.id", "auto.create.topics.enable")
    for version in range(1, 5):
        c.show(_BROKER, "1", *names, version=version, synonyms=version > 2)
    for kind, name in ((_TOPIC, "kinds-no"), (_TOPIC, ""), (_TOPIC, "bad name"), (3, "a"), (99, "a"), (0, "a")):
        c.show(kind, name)
    c.show(_TOPIC, "kinds", "nonsense")
    _groups(s, c)
    _metrics(c)
    for version, kinds in ((0, []), (1, [16]), (1, [32]), (1, [4]), (1, [8]), (1, [3]), (1, [16, 32]), (1, [99])):
        s.ask(f"list {version} {kinds}", Key.LIST_CONFIG_RESOURCES, version, {"resource_types": kinds})
    _loggers(c)


def _groups(s: Session, c: _Changes) -> None:
    session, beat = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
    c.alter(_GROUP, "kinds", (session, _SET, "50000"))
    c.show(_GROUP, "kinds", session, beat)
    c.show(_GROUP, "kinds")
    for value in ("1", "99999999", "x", "-1"):
        c.alter(_GROUP, "kinds", (session, _SET, value))
    for value in ("1", "15000", "99999999"):
        c.alter(_GROUP, "kinds", (beat, _SET, value))
    c.alter(_GROUP, "kinds", (beat, _SET, "60000"), (session, _SET, "60000"))
    c.alter(_GROUP, "kinds", ("nonsense", _SET, "1"))
    c.alter(_GROUP, "kinds", (session, _APPEND, "1"))
    c.alter(_GROUP, "", (session, _SET, "50000"))
    c.show(_GROUP, "")
    c.alter(_GROUP, "kinds", (session, _DELETE, None))
    c.show(_GROUP, "kinds", session)
    c.show(_GROUP, "kinds-no", session)


def _metrics(c: _Changes) -> None:
    c.alter(
        _METRICS,
        "kinds",
        ("interval.ms", _SET, "1000"),
        ("metrics", _SET, "org.apache."),
        ("match", _SET, "client_id=a.*"),
    )
    c.show(_METRICS, "kinds")
    for operation in (
        ("interval.ms", _SET, "1"),
        ("interval.ms", _SET, "99999999"),
        ("match", _SET, "nonsense"),
        ("match", _SET, "foo=bar"),
        ("match", _SET, "client_id=["),
        ("nonsense", _SET, "1"),
        ("metrics", _APPEND, "b."),
        ("match", _DELETE, None),
        ("metrics", _SET, "*"),
        ("metrics", _SET, ""),
    ):
        c.alter(_METRICS, "kinds", operation)
    c.show(_METRICS, "kinds")
    c.alter(_METRICS, "", ("interval.ms", _SET, "1000"))
    c.show(_METRICS, "")
    c.show(_METRICS, "kinds-no")


def _loggers(c: _Changes) -> None:
    for name in ("2", ""):
        c.show(_LOGGER, name)
    c.show(_LOGGER, "1", "root")
    for name, operation in (
        ("1", ("root", _SET, "INFO")),
        ("1", ("root", _SET, "LOUD")),
        ("1", ("nonsense.logger", _SET, "INFO")),
        ("1", ("root", _DELETE, None)),
        ("1", ("root", _APPEND, "INFO")),
        ("2", ("root", _SET, "WARN")),
    ):
        c.alter(_LOGGER, name, operation)


def alter_configs(s: Session) -> None:
    """AlterConfigs, which replaces all settings."""
    s.topic("replaced", 1, {"retention.ms": "1000"})
    c, topic = _Changes(s), "replaced"
    c.replace(_TOPIC, topic, ("retention.ms", "4000"))
    c.replace(_TOPIC, topic, ("cleanup.policy", "compact"))
    c.show(_TOPIC, topic, "retention.ms", "cleanup.policy")
    c.replace(_TOPIC, topic, ("retention.ms", None))
    c.replace(_TOPIC, topic, ("nonsense", "1"))
    c.replace(_TOPIC, "replaced-no", ("retention.ms", "1"))
    c.replace(_TOPIC, topic, ("retention.ms", "1"), ("retention.ms", "2"))
    c.replace(_BROKER, "1", ("log.retention.ms", "123456"))
    c.replace(_BROKER, "1", ("num.partitions", "2"))
    c.replace(_BROKER, "1")
    c.replace(_BROKER, "2", ("log.retention.ms", "1"))
    c.replace(_TOPIC, topic)
    c.show(_TOPIC, topic, "retention.ms", "cleanup.policy")
    c.replace(_TOPIC, topic, ("retention.ms", "5"), validate=True)
    c.replace(_GROUP, "replaced", ("consumer.session.timeout.ms", "46000"))
    c.replace(_METRICS, "replaced", ("interval.ms", "2000"))
    c.show(_METRICS, "replaced")
    for kind in (3, 8, 99):
        c.replace(kind, "1", ("root", "WARN"))
    resource = {"resource_type": _TOPIC, "resource_name": topic, "configs": []}
    for version in range(3):
        s.ask(f"version {version}", Key.ALTER_CONFIGS, version, {"resources": [resource]})
    s.ask("a resource twice", Key.ALTER_CONFIGS, 2, {"resources": [resource] * 2})
