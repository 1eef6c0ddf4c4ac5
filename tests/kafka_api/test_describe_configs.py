"""DescribeConfigs and ListConfigResources: settings with types, sources, synonyms and meaning."""

from logserver.errors import ErrorCode
from logserver.settings import SERVER_DEFINITIONS, TOPIC_DEFINITIONS
from logserver.testing import LogServer

from .admin import (
    BROKER,
    BROKER_LOGGER,
    CLIENT_METRICS,
    DESCRIBE_CONFIGS,
    GROUP,
    LIST_CONFIG_RESOURCES,
    SET,
    TOPIC,
    alter,
    create,
    describe,
    values,
)
from .raw_client import RawClient, served_versions

TOPIC_SOURCE, STATIC, DEFAULT = 1, 4, 5
STRING, INT, LONG, DOUBLE, LIST, BOOLEAN = 2, 3, 5, 6, 7, 1


def test_a_topic_at_every_version(client: RawClient) -> None:
    create(client, {"name": "t", "configs": [{"name": "retention.ms", "value": "1000"}]})
    for version in served_versions(DESCRIBE_CONFIGS):
        result = describe(client, TOPIC, "t", version=version)
        assert (result.error_code, result.resource_type, result.resource_name) == (0, TOPIC, "t")
        found = {config.name: config for config in result.configs}
        assert set(found) == set(TOPIC_DEFINITIONS)
        assert (found["retention.ms"].value, found["retention.ms"].config_source) == ("1000", TOPIC_SOURCE)
        assert (found["segment.bytes"].value, found["segment.bytes"].config_source) == ("1073741824", DEFAULT)
        assert not any(config.read_only or config.is_sensitive for config in result.configs)


def test_types_are_kafkas(client: RawClient) -> None:
    create(client, {"name": "t"})
    types = {config.name: config.config_type for config in describe(client, TOPIC, "t").configs}
    types |= {config.name: config.config_type for config in describe(client, BROKER, "1").configs}
    expected = {
        "retention.ms": LONG,
        "segment.bytes": INT,
        "cleanup.policy": LIST,
        "min.cleanable.dirty.ratio": DOUBLE,
        "message.timestamp.type": STRING,
        "auto.create.topics.enable": BOOLEAN,
        "message.max.bytes": INT,
        "log.retention.ms": LONG,
    }
    assert {name: types[name] for name in expected} == expected


def test_synonyms_and_documentation_only_where_they_are_asked_for(client: RawClient) -> None:
    create(client, {"name": "t", "configs": [{"name": "segment.bytes", "value": "2000"}]})
    (bare,) = describe(client, TOPIC, "t", "segment.bytes").configs
    assert (list(bare.synonyms), bare.documentation) == ([], None)
    (full,) = describe(client, TOPIC, "t", "segment.bytes", include_synonyms=True, include_documentation=True).configs
    assert [(synonym.name, synonym.value, synonym.source) for synonym in full.synonyms] == [
        ("segment.bytes", "2000", TOPIC_SOURCE),
        ("log.segment.bytes", "1073741824", DEFAULT),
    ]
    assert full.documentation == TOPIC_DEFINITIONS["segment.bytes"].about.documentation


def test_the_broker() -> None:
    with LogServer(settings={"log.segment.bytes": "5000"}) as server, RawClient(server.kafka) as client:
        create(client, {"name": "t"})
        assert values(client, TOPIC, "t", "segment.bytes") == {"segment.bytes": ("5000", STATIC)}
        configs = {config.name: config for config in describe(client, BROKER, "1").configs}
        assert set(configs) == set(SERVER_DEFINITIONS)
        assert (configs["log.segment.bytes"].value, configs["log.segment.bytes"].config_source) == ("5000", STATIC)
        assert configs["log.retention.ms"].value is None
        read_only = {name for name, config in configs.items() if config.read_only}
        assert {"node.id", "log.dirs", "listeners", "num.partitions", "log.retention.hours"} <= read_only
        assert not {"log.segment.bytes", "log.retention.ms", "message.max.bytes", "max.connections"} & read_only
        assert values(client, BROKER, "") == {}


def test_groups_and_subscriptions_without_settings_have_defaults(client: RawClient) -> None:
    assert values(client, GROUP, "g") == {
        "consumer.assignment.interval.ms": ("100", DEFAULT),
        "consumer.heartbeat.interval.ms": ("5000", DEFAULT),
        "consumer.session.timeout.ms": ("45000", DEFAULT),
        "share.assignment.interval.ms": ("100", DEFAULT),
        "share.auto.offset.reset": ("latest", DEFAULT),
        "share.delivery.count.limit": ("5", DEFAULT),
        "share.heartbeat.interval.ms": ("5000", DEFAULT),
        "share.isolation.level": ("read_uncommitted", DEFAULT),
        "share.partition.max.record.locks": ("2000", DEFAULT),
        "share.record.lock.duration.ms": ("30000", DEFAULT),
        "share.renew.acknowledge.enable": ("true", DEFAULT),
        "share.session.timeout.ms": ("45000", DEFAULT),
    }
    assert values(client, CLIENT_METRICS, "s") == {
        "interval.ms": ("300000", DEFAULT),
        "match": ("", DEFAULT),
        "metrics": ("", DEFAULT),
    }


def test_some_settings_or_none_that_is_known(client: RawClient) -> None:
    create(client, {"name": "t"})
    assert set(values(client, TOPIC, "t", "retention.ms", "nonsense")) == {"retention.ms"}
    assert values(client, TOPIC, "t", "nonsense") == {}
    # As in Apache Kafka an empty list asks for all.
    resource = {"resource_type": TOPIC, "resource_name": "t", "configuration_keys": []}
    (result,) = client.call(DESCRIBE_CONFIGS, 4, {"resources": [resource]}).results
    assert len(result.configs) == len(TOPIC_DEFINITIONS)


def test_what_is_not_there(client: RawClient) -> None:
    for kind, name, code in (
        (TOPIC, "no", ErrorCode.unknown_topic_or_partition),
        (TOPIC, "", ErrorCode.invalid_topic_exception),
        (TOPIC, "a b", ErrorCode.invalid_topic_exception),
        (BROKER, "2", ErrorCode.invalid_request),
        (BROKER, "x", ErrorCode.invalid_request),
        (BROKER_LOGGER, "", ErrorCode.invalid_request),
        (BROKER_LOGGER, "2", ErrorCode.invalid_request),
        (GROUP, "", ErrorCode.invalid_request),
        (CLIENT_METRICS, "", ErrorCode.invalid_request),
        (3, "x", ErrorCode.invalid_request),
        (0, "x", ErrorCode.invalid_request),
    ):
        result = describe(client, kind, name)
        assert (result.error_code, list(result.configs)) == (code.value, []), (kind, name)


def test_loggers_have_levels(client: RawClient) -> None:
    found = values(client, BROKER_LOGGER, "1")
    assert {"root", "logserver.kafka", "logserver.broker"} <= set(found)
    assert {source for _, source in found.values()} == {6}


def test_resources_are_listed(client: RawClient) -> None:
    create(client, {"name": "t"})
    alter(client, GROUP, "g", ("consumer.session.timeout.ms", SET, "50000"))
    alter(client, CLIENT_METRICS, "s", ("interval.ms", SET, "1000"))

    def listed(version: int, *kinds: int) -> list[tuple[str, int]]:
        response = client.call(LIST_CONFIG_RESOURCES, version, {"resource_types": kinds})
        assert response.error_code == 0
        return [(found.resource_name, found.resource_type) for found in response.config_resources]

    everything = [("t", TOPIC), ("1", BROKER), ("1", BROKER_LOGGER), ("s", CLIENT_METRICS), ("g", GROUP)]
    assert listed(1) == everything
    for name, kind in everything:
        assert listed(1, kind) == [(name, kind)]
    assert [name for name, _ in listed(0)] == ["s"]
    unknown = client.call(LIST_CONFIG_RESOURCES, 1, {"resource_types": [3]})
    assert unknown.error_code == ErrorCode.unsupported_version.value
