"""Settings in the metadata store: followed, decided on again, kept, limited."""

import asyncio
from collections.abc import Mapping

import pytest

from logserver.broker.configs import CONFIGS_PREFIX, ConfigKind
from logserver.broker.dynamic_settings import DYNAMIC_SETTINGS
from logserver.errors import ErrorCode, LogServerError
from logserver.metadata import Put
from logserver.settings import SERVER_DEFINITIONS

from .nodes import BrokerNode
from .test_topics import refused


def with_setting(name: str, value: str):  # type: ignore[no-untyped-def]
    """Returns what decides to set one setting."""
    return lambda old: {**old, name: value}


async def put(node: BrokerNode, kind: ConfigKind, name: str, setting: str, value: str) -> None:
    await node.broker.configs.change(kind, name, with_setting(setting, value))


async def test_settings_of_the_server_reach_topics_and_their_logs(node: BrokerNode) -> None:
    plain = await node.topic("plain", partitions=3)
    own = await node.topic("own", segment_bytes="5000")
    assert plain.log is not None and own.log is not None
    await put(node, ConfigKind.BROKER, "", "log.segment.bytes", "7000")
    assert node.broker.settings.log_segment_bytes == node.broker.topic("plain").settings.segment_bytes == 7000
    assert [partition.log.config.segment_bytes for partition in node.broker.partitions() if partition.log] == (
        [7000] * 3 + [5000]
    )
    await put(node, ConfigKind.BROKER, "1", "log.segment.bytes", "8000")
    assert plain.log.config.segment_bytes == 8000
    later = await node.topic("later")
    assert later.log is not None and later.log.config.segment_bytes == 8000
    # Another node's are none of ours.
    await put(node, ConfigKind.BROKER, "2", "log.segment.bytes", "9000")
    assert node.broker.settings.log_segment_bytes == 8000
    await node.broker.configs.change(ConfigKind.BROKER, "1", lambda old: {})
    assert plain.log.config.segment_bytes == 7000
    assert node.broker.settings.source_of("log.segment.bytes") == "metadata store"


async def test_a_crash_forgets_nothing(node: BrokerNode) -> None:
    await node.topic("t")
    await put(node, ConfigKind.BROKER, "", "log.segment.bytes", "7000")
    await put(node, ConfigKind.GROUP, "g/with/slashes", "consumer.session.timeout.ms", "9000")
    await put(node, ConfigKind.GROUP, "gone", "consumer.session.timeout.ms", "9000")
    await node.broker.configs.change(ConfigKind.GROUP, "gone", lambda old: {})
    await node.crash()
    await node.start()
    configs = node.broker.configs
    assert configs.names(ConfigKind.GROUP) == ["g/with/slashes"]
    assert configs.get(ConfigKind.GROUP, "g/with/slashes") == {"consumer.session.timeout.ms": "9000"}
    log = node.broker.partition("t", 0).log
    assert log is not None and log.config.segment_bytes == 7000


async def test_changes_at_the_same_time_are_all_made(node: BrokerNode) -> None:
    decisions = 0

    def add(number: int):  # type: ignore[no-untyped-def]
        def decide(old: Mapping[str, str]) -> Mapping[str, str]:
            nonlocal decisions
            decisions += 1
            return {**old, f"setting.{number}": "x"}

        return decide

    await asyncio.gather(*(node.broker.configs.change(ConfigKind.GROUP, "g", add(n)) for n in range(5)))
    assert len(node.broker.configs.get(ConfigKind.GROUP, "g")) == 5
    # Somebody came second, and decided again on what the first had made.
    assert decisions > 5


async def test_no_change_writes_nothing(node: BrokerNode) -> None:
    await put(node, ConfigKind.GROUP, "g", "a", "1")
    revision = node.broker.metadata_revision
    await put(node, ConfigKind.GROUP, "g", "a", "1")
    await node.broker.configs.change(ConfigKind.GROUP, "none", lambda old: {})
    await node.broker.configs.change(ConfigKind.GROUP, "new", with_setting("a", "1"), validate_only=True)
    assert node.broker.metadata_revision == revision
    assert node.broker.configs.names(ConfigKind.GROUP) == ["g"]


async def test_a_refusal_changes_nothing(node: BrokerNode) -> None:
    def decide(old: Mapping[str, str]) -> Mapping[str, str]:
        raise LogServerError(ErrorCode.invalid_config, "not so")

    with refused(ErrorCode.invalid_config, "not so"):
        await node.broker.configs.change(ConfigKind.GROUP, "g", decide)
    assert node.broker.configs.names(ConfigKind.GROUP) == []


async def test_everybody_who_listens_is_told_before_the_change_is_answered(node: BrokerNode) -> None:
    seen: list[list[str]] = []
    node.broker.configs.when_changed(lambda: seen.append(node.broker.configs.names(ConfigKind.CLIENT_METRICS)))
    await put(node, ConfigKind.CLIENT_METRICS, "s", "interval.ms", "1000")
    assert seen == [["s"]]


@pytest.mark.parametrize(
    ("kind", "setting"),
    [(ConfigKind.GROUP, "group.max.groups"), (ConfigKind.CLIENT_METRICS, "client.metrics.max.subscriptions")],
)
async def test_their_number_is_limited(tmp_path, kind: ConfigKind, setting: str) -> None:  # type: ignore[no-untyped-def]
    node = BrokerNode(tmp_path / "data", settings={setting: "1"})
    await node.start()
    await put(node, kind, "first", "a", "1")
    with refused(ErrorCode.policy_violation, f"{setting}=1"):
        await put(node, kind, "second", "a", "1")
    await put(node, kind, "first", "a", "2")
    await node.stop()


async def test_what_another_version_has_stored_is_left_alone(node: BrokerNode) -> None:
    strange = b'{"settings":{"log.segment.bytes":"7000","of.tomorrow":"1","log.retention.ms":"soon"}}'
    await node.store.txn((), (Put(CONFIGS_PREFIX + b"broker/1", strange),))
    await node.store.txn((), (Put(CONFIGS_PREFIX + b"tomorrows/x", b"no JSON"),))
    await put(node, ConfigKind.GROUP, "g", "a", "1")
    for _ in range(2):
        assert node.broker.settings.log_segment_bytes == 7000
        assert node.broker.settings.log_retention_ms is None
        assert len(node.broker.configs.get(ConfigKind.BROKER, "1")) == 3
        await node.crash()
        await node.start()


@pytest.mark.parametrize("value", [b"no JSON", b"[1]", b"{}", b'{"settings":[]}', b'"settings"'])
async def test_settings_that_can_not_be_read_end_the_start_with_their_name(node: BrokerNode, value: bytes) -> None:
    await node.store.txn((), (Put(CONFIGS_PREFIX + b"group/g", value),))
    await node.crash()
    with pytest.raises(LogServerError, match="settings of the group 'g' can't be read"):
        await node.start()


async def test_stopping_answers_who_waits(held: BrokerNode) -> None:
    changing = asyncio.ensure_future(put(held, ConfigKind.GROUP, "g", "a", "1"))
    await held.committer.handed_over.wait()  # type: ignore[attr-defined]
    await held.broker.stop()
    held.committer.commit()  # type: ignore[attr-defined]
    with refused(ErrorCode.not_leader_or_follower, "stopping"):
        await changing


async def test_settings_of_a_topic_are_decided_on_again_too(node: BrokerNode) -> None:
    await node.topic("t", retention_ms="1")

    def double(old: Mapping[str, str]) -> Mapping[str, str]:
        return {**old, "retention.ms": str(int(old["retention.ms"]) * 2)}

    await asyncio.gather(*(node.broker.change_topic("t", double) for _ in range(4)))
    assert node.broker.topic("t").settings.retention_ms == 16


def test_what_can_be_changed_at_run_time() -> None:
    assert set(SERVER_DEFINITIONS) >= DYNAMIC_SETTINGS
    assert {"log.retention.ms", "message.max.bytes", "max.connections", "producer.id.expiration.ms"} <= DYNAMIC_SETTINGS
    assert not {"log.retention.hours", "num.partitions", "log.dirs", "listeners"} & DYNAMIC_SETTINGS
