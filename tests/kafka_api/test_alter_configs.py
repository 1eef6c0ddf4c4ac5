"""IncrementalAlterConfigs and AlterConfigs: settings of topics, groups, subscriptions, loggers."""

import logging
from collections.abc import Iterator

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct

from .admin import (
    ALTER_CONFIGS,
    APPEND,
    BROKER_LOGGER,
    CLIENT_METRICS,
    DELETE,
    GROUP,
    INCREMENTAL_ALTER_CONFIGS,
    SET,
    SUBTRACT,
    TOPIC,
    alter,
    create,
    values,
)
from .raw_client import OFFSET_COMMIT, RawClient, served_versions

NO_TOPIC = ErrorCode.unknown_topic_or_partition.value
TOPIC_SOURCE, DEFAULT, METRICS_SOURCE, GROUP_SOURCE = 1, 5, 7, 8


@pytest.fixture
def topic(client: RawClient) -> str:
    """A topic that keeps records for a second."""
    create(client, {"name": "t", "configs": [{"name": "retention.ms", "value": "1000"}]})
    return "t"


def test_set_and_delete_at_every_version(client: RawClient, topic: str) -> None:
    for version in served_versions(INCREMENTAL_ALTER_CONFIGS):
        result = alter(client, TOPIC, topic, ("retention.ms", SET, "2000"), version=version)
        assert (result.error_code, result.error_message, result.resource_name) == (0, None, topic)
        assert values(client, TOPIC, topic, "retention.ms") == {"retention.ms": ("2000", TOPIC_SOURCE)}
        alter(client, TOPIC, topic, ("retention.ms", DELETE, None), version=version)
        assert values(client, TOPIC, topic, "retention.ms") == {"retention.ms": ("604800000", DEFAULT)}


def test_lists_are_appended_to_and_subtracted_from(client: RawClient, topic: str) -> None:
    def policy(operation: int, value: str) -> str | None:
        assert alter(client, TOPIC, topic, ("cleanup.policy", operation, value)).error_code == 0
        return values(client, TOPIC, topic, "cleanup.policy")["cleanup.policy"][0]

    # The default is what an append begins with.
    assert policy(APPEND, "compact") == "delete,compact"
    assert policy(APPEND, "compact") == "delete,compact"
    assert policy(SUBTRACT, "delete") == "compact"
    assert policy(SUBTRACT, "nothing") == "compact"


def test_all_changes_of_a_resource_or_none(client: RawClient, topic: str) -> None:
    result = alter(client, TOPIC, topic, ("retention.ms", SET, "2000"), ("segment.bytes", SET, "x"))
    assert result.error_code == ErrorCode.invalid_config.value
    assert values(client, TOPIC, topic, "retention.ms") == {"retention.ms": ("1000", TOPIC_SOURCE)}


def test_validating_changes_nothing(client: RawClient, topic: str) -> None:
    assert alter(client, TOPIC, topic, ("retention.ms", SET, "2000"), validate_only=True).error_code == 0
    wrong = alter(client, TOPIC, topic, ("retention.ms", SET, "x"), validate_only=True)
    assert wrong.error_code == ErrorCode.invalid_config.value
    assert values(client, TOPIC, topic, "retention.ms") == {"retention.ms": ("1000", TOPIC_SOURCE)}


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([("nonsense", SET, "1")], ErrorCode.invalid_config),
        ([("nonsense", DELETE, None)], ErrorCode.none),
        ([("retention.ms", SET, None)], ErrorCode.invalid_request),
        ([("retention.ms", APPEND, "5")], ErrorCode.invalid_config),
        ([("retention.ms", 7, "5")], ErrorCode.invalid_request),
        ([("retention.ms", SET, "1"), ("retention.ms", DELETE, None)], ErrorCode.invalid_request),
        ([], ErrorCode.none),
    ],
)
def test_operations_that_are_none(
    client: RawClient, topic: str, operations: list[tuple[str, int, str | None]], code: ErrorCode
) -> None:
    assert alter(client, TOPIC, topic, *operations).error_code == code.value
    assert values(client, TOPIC, topic, "retention.ms") == {"retention.ms": ("1000", TOPIC_SOURCE)}


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (TOPIC, "no", ErrorCode.unknown_topic_or_partition),
        (TOPIC, "", ErrorCode.invalid_request),
        (TOPIC, "a b", ErrorCode.invalid_topic_exception),
        (GROUP, "", ErrorCode.invalid_request),
        (CLIENT_METRICS, "", ErrorCode.invalid_request),
        (3, "x", ErrorCode.invalid_request),
    ],
)
def test_resources_that_are_none(client: RawClient, kind: int, name: str, code: ErrorCode) -> None:
    assert alter(client, kind, name, ("retention.ms", SET, "1")).error_code == code.value


def test_a_resource_named_twice_stays_as_it_is(client: RawClient, topic: str) -> None:
    change = {"name": "retention.ms", "config_operation": SET, "value": "5"}
    resource = {"resource_type": TOPIC, "resource_name": topic, "configs": [change]}
    response = client.call(INCREMENTAL_ALTER_CONFIGS, 1, {"resources": [resource, resource]})
    assert [result.error_code for result in response.responses] == [ErrorCode.invalid_request.value] * 2
    assert values(client, TOPIC, topic, "retention.ms") == {"retention.ms": ("1000", TOPIC_SOURCE)}


# AlterConfigs


def replace(client: RawClient, kind: int, name: str, *settings: tuple[str, str | None], version: int = 2) -> Struct:
    """Replaces all settings of one resource."""
    configs = [{"name": setting, "value": value} for setting, value in settings]
    resource = {"resource_type": kind, "resource_name": name, "configs": configs}
    result: Struct = client.call(ALTER_CONFIGS, version, {"resources": [resource]}).responses[0]
    return result


def test_the_old_way_replaces_everything(client: RawClient, topic: str) -> None:
    for version in served_versions(ALTER_CONFIGS):
        assert replace(client, TOPIC, topic, ("segment.bytes", "5000"), version=version).error_code == 0
        assert values(client, TOPIC, topic, "retention.ms", "segment.bytes") == {
            "retention.ms": ("604800000", DEFAULT),
            "segment.bytes": ("5000", TOPIC_SOURCE),
        }
        replace(client, TOPIC, topic, version=version)
        assert values(client, TOPIC, topic, "segment.bytes") == {"segment.bytes": ("1073741824", DEFAULT)}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ([("nonsense", "1")], ErrorCode.invalid_config),
        ([("retention.ms", None)], ErrorCode.invalid_request),
        ([("retention.ms", "1"), ("retention.ms", "2")], ErrorCode.invalid_request),
    ],
)
def test_the_old_way_checks_too(
    client: RawClient, topic: str, settings: list[tuple[str, str | None]], code: ErrorCode
) -> None:
    assert replace(client, TOPIC, topic, *settings).error_code == code.value
    assert values(client, TOPIC, topic, "retention.ms") == {"retention.ms": ("1000", TOPIC_SOURCE)}


# Groups


def test_a_group_has_settings_of_its_own(client: RawClient) -> None:
    alter(client, GROUP, "g", ("consumer.session.timeout.ms", SET, "50000"))
    assert values(client, GROUP, "g", "consumer.session.timeout.ms") == {
        "consumer.session.timeout.ms": ("50000", GROUP_SOURCE)
    }
    assert values(client, GROUP, "other", "consumer.session.timeout.ms") == {
        "consumer.session.timeout.ms": ("45000", DEFAULT)
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nonsense", "1"),
        ("consumer.session.timeout.ms", "x"),
        ("consumer.session.timeout.ms", "0"),
        # Not longer than the time between two heartbeats.
        ("consumer.session.timeout.ms", "5000"),
        ("consumer.heartbeat.interval.ms", "45000"),
        ("share.session.timeout.ms", "5000"),
        ("share.heartbeat.interval.ms", "15001"),
        ("share.record.lock.duration.ms", "60001"),
        ("share.record.lock.duration.ms", "999"),
        ("share.delivery.count.limit", "1"),
        ("share.delivery.count.limit", "11"),
        ("share.partition.max.record.locks", "99"),
        ("share.partition.max.record.locks", "4001"),
        ("share.assignment.interval.ms", "15001"),
        ("share.auto.offset.reset", "none"),
        ("share.auto.offset.reset", "by_duration:PT-1H"),
        ("share.isolation.level", "serializable"),
        ("share.renew.acknowledge.enable", "perhaps"),
    ],
)
def test_settings_that_no_group_can_have(client: RawClient, name: str, value: str) -> None:
    assert alter(client, GROUP, "g", (name, SET, value)).error_code == ErrorCode.invalid_config.value


# Subscriptions to metrics


def test_a_subscription(client: RawClient) -> None:
    match = "client_id=abc.*,client_software_name=x"
    assert alter(client, CLIENT_METRICS, "s", ("metrics", SET, "a.,b."), ("match", SET, match)).error_code == 0
    assert values(client, CLIENT_METRICS, "s") == {
        "interval.ms": ("300000", DEFAULT),
        "metrics": ("a.,b.", METRICS_SOURCE),
        "match": (match, METRICS_SOURCE),
    }


@pytest.mark.parametrize(
    ("name", "operation", "value", "code"),
    [
        ("interval.ms", SET, "99", ErrorCode.invalid_request),
        ("interval.ms", SET, "3600001", ErrorCode.invalid_request),
        ("nonsense", SET, "1", ErrorCode.invalid_request),
        ("match", SET, "nonsense", ErrorCode.invalid_config),
        ("match", SET, "colour=red", ErrorCode.invalid_config),
        ("match", SET, "client_id=[", ErrorCode.invalid_config),
        ("metrics", APPEND, "b.", ErrorCode.invalid_config),
    ],
)
def test_settings_that_no_subscription_can_have(
    client: RawClient, name: str, operation: int, value: str, code: ErrorCode
) -> None:
    assert alter(client, CLIENT_METRICS, "s", (name, operation, value)).error_code == code.value


# Loggers


@pytest.fixture
def levels() -> Iterator[None]:
    """Puts levels back afterwards: they are the whole process's."""
    loggers = [logging.getLogger(name) for name in ("logserver", "logserver.kafka")]
    old = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, old, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures("levels")
def test_levels_of_loggers(client: RawClient) -> None:
    alter(client, BROKER_LOGGER, "1", ("root", SET, "ERROR"), ("logserver.kafka", SET, "DEBUG"))
    found = values(client, BROKER_LOGGER, "1", "root", "logserver.kafka", "logserver.broker")
    assert {name: level for name, (level, _) in found.items()} == {
        "root": "ERROR",
        "logserver.kafka": "DEBUG",
        "logserver.broker": "ERROR",
    }
    assert logging.getLogger("logserver.kafka").isEnabledFor(logging.DEBUG)
    alter(client, BROKER_LOGGER, "1", ("logserver.kafka", DELETE, None))
    assert values(client, BROKER_LOGGER, "1", "logserver.kafka") == {"logserver.kafka": ("ERROR", 6)}


@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize(
    ("node", "name", "operation", "value", "code"),
    [
        ("1", "nonsense", SET, "INFO", ErrorCode.invalid_config),
        ("1", "logserver.kafka", SET, "LOUD", ErrorCode.invalid_config),
        ("1", "root", DELETE, None, ErrorCode.invalid_request),
        ("1", "root", APPEND, "INFO", ErrorCode.invalid_request),
        ("2", "root", SET, "INFO", ErrorCode.invalid_request),
    ],
)
def test_levels_that_are_none(
    client: RawClient, node: str, name: str, operation: int, value: str | None, code: ErrorCode
) -> None:
    before = values(client, BROKER_LOGGER, "1")
    result = alter(client, BROKER_LOGGER, node, ("logserver.broker", SET, "DEBUG"), (name, operation, value))
    assert result.error_code == code.value
    assert values(client, BROKER_LOGGER, "1") == before


def test_the_topic_of_groups_has_settings_but_stays_compacted(client: RawClient) -> None:
    topic = "__consumer_offsets"
    assert alter(client, TOPIC, topic, ("segment.bytes", SET, "2000000")).error_code == NO_TOPIC
    commit = {"name": "t", "partitions": [{"partition_index": 0, "committed_offset": 1}]}
    create(client, {"name": "t"})
    whole = {"group_id": "g", "generation_id_or_member_epoch": -1, "topics": [commit]}
    assert client.call(OFFSET_COMMIT, 8, whole).topics[0].partitions[0].error_code == 0
    assert values(client, TOPIC, topic, "cleanup.policy") == {"cleanup.policy": ("compact", TOPIC_SOURCE)}
    assert alter(client, TOPIC, topic, ("segment.bytes", SET, "2000000")).error_code == 0
    assert values(client, TOPIC, topic, "segment.bytes") == {"segment.bytes": ("2000000", TOPIC_SOURCE)}
    for change in (
        ("cleanup.policy", SET, "delete"),
        ("cleanup.policy", APPEND, "delete"),
        ("cleanup.policy", DELETE, None),
    ):
        assert alter(client, TOPIC, topic, change).error_code == ErrorCode.invalid_config.value
    assert values(client, TOPIC, topic, "cleanup.policy") == {"cleanup.policy": ("compact", TOPIC_SOURCE)}
