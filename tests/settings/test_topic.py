"""A topic's settings: its overrides over the server's defaults."""

import msgspec
import pytest

from logserver.settings import (
    TOPIC_DEFINITIONS,
    ServerSettings,
    SettingsError,
    TopicSettings,
    check_topic_overrides,
    load_settings,
    topic_setting_rows,
)


def resolve(overrides: dict[str, str] | None = None, **server: str) -> TopicSettings:
    line = [(name.replace("_", "."), text) for name, text in server.items()]
    return TopicSettings.resolve(load_settings(command_line=line), overrides or {})


def test_kafkas_defaults_apply_but_for_the_flush():
    assert msgspec.structs.asdict(resolve()) == {
        "cleanup_policy": ("delete",),
        "retention_ms": 604_800_000,
        "retention_bytes": -1,
        "segment_bytes": 1_073_741_824,
        "segment_ms": 604_800_000,
        "segment_jitter_ms": 0,
        "segment_index_bytes": 10_485_760,
        "index_interval_bytes": 4096,
        "max_message_bytes": 1_048_588,
        "flush_messages": 1,
        "flush_ms": 2**63 - 1,
        "file_delete_delay_ms": 60_000,
        "message_timestamp_type": "CreateTime",
        "message_timestamp_before_max_ms": 2**63 - 1,
        "message_timestamp_after_max_ms": 3_600_000,
        "min_insync_replicas": 1,
        "compression_type": "producer",
        "compression_gzip_level": -1,
        "compression_lz4_level": 9,
        "compression_zstd_level": 3,
        "delete_retention_ms": 86_400_000,
        "min_cleanable_dirty_ratio": 0.5,
        "min_compaction_lag_ms": 0,
        "max_compaction_lag_ms": 2**63 - 1,
    }


@pytest.mark.parametrize(
    ("server", "retention_ms"),
    [
        ({"log_retention_hours": "2"}, 7_200_000),
        ({"log_retention_hours": "2", "log_retention_minutes": "3"}, 180_000),
        ({"log_retention_hours": "2", "log_retention_minutes": "3", "log_retention_ms": "4"}, 4),
        ({"log_retention_hours": "-1"}, -1),
        ({"log_retention_minutes": "-1"}, -1),
        ({"log_retention_minutes": "-1", "log_retention_ms": "5"}, 5),
    ],
)
def test_milliseconds_go_before_minutes_and_minutes_before_hours(server, retention_ms):
    assert resolve(**server).retention_ms == retention_ms
    assert resolve({"retention.ms": "77"}, **server).retention_ms == 77


def test_segment_age_comes_from_the_roll_settings():
    assert resolve(log_roll_hours="1").segment_ms == 3_600_000
    assert resolve(log_roll_hours="1", log_roll_ms="9").segment_ms == 9
    assert resolve({"segment.ms": "8"}, log_roll_ms="9").segment_ms == 8


def test_every_topic_setting_follows_a_setting_of_the_server():
    settings = resolve(
        log_cleanup_policy="compact",
        log_retention_bytes="1",
        log_segment_bytes="1025",
        log_index_size_max_bytes="5",
        log_index_interval_bytes="6",
        message_max_bytes="7",
        log_flush_interval_messages="8",
        log_flush_interval_ms="9",
        log_segment_delete_delay_ms="10",
        log_message_timestamp_type="LogAppendTime",
        log_message_timestamp_before_max_ms="11",
        log_message_timestamp_after_max_ms="12",
        log_cleaner_delete_retention_ms="13",
        log_cleaner_min_cleanable_ratio="0.14",
        log_cleaner_min_compaction_lag_ms="15",
        log_cleaner_max_compaction_lag_ms="16",
        compression_type="lz4",
        compression_gzip_level="8",
        compression_lz4_level="17",
        compression_zstd_level="18",
    )
    assert settings == TopicSettings(
        cleanup_policy=("compact",),
        retention_ms=604_800_000,
        retention_bytes=1,
        segment_bytes=1025,
        segment_ms=604_800_000,
        segment_index_bytes=5,
        index_interval_bytes=6,
        max_message_bytes=7,
        flush_messages=8,
        flush_ms=9,
        file_delete_delay_ms=10,
        message_timestamp_type="LogAppendTime",
        message_timestamp_before_max_ms=11,
        message_timestamp_after_max_ms=12,
        min_insync_replicas=1,
        compression_type="lz4",
        compression_gzip_level=8,
        compression_lz4_level=17,
        compression_zstd_level=18,
        delete_retention_ms=13,
        min_cleanable_dirty_ratio=0.14,
        min_compaction_lag_ms=15,
        max_compaction_lag_ms=16,
    )


@pytest.mark.parametrize(
    ("policy", "deletes", "compacts"),
    [("delete", True, False), ("compact", False, True), ("compact,delete", True, True)],
)
def test_cleanup_policies(policy: str, deletes: bool, compacts: bool):
    settings = resolve({"cleanup.policy": policy})
    assert (settings.deletes, settings.compacts) == (deletes, compacts)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(SettingsError, match=r"retention\.m is not a setting of a topic; did you mean retention\.ms\?"):
        check_topic_overrides({"retention.m": "1"})


def test_a_servers_setting_given_to_a_topic_is_refused_with_the_topics_name():
    with pytest.raises(SettingsError, match=r"it is a setting of the server; the topic's is retention\.ms"):
        check_topic_overrides({"log.retention.hours": "1"})


def test_the_wrong_one_of_several_overrides_is_named():
    with pytest.raises(SettingsError) as caught:
        check_topic_overrides({"retention.ms": "1", "segment.bytes": "12"})
    assert caught.value.name == "segment.bytes"


def test_rows_show_value_default_and_which_are_the_topics_own():
    server = load_settings(command_line=[("log.retention.minutes", "1")])
    rows = {row.name: row for row in topic_setting_rows(server, {"segment.bytes": "2000"})}
    assert list(rows) == list(TOPIC_DEFINITIONS)
    assert (rows["segment.bytes"].value, rows["segment.bytes"].default_value) == ("2000", "1073741824")
    assert rows["segment.bytes"].overridden
    assert (rows["retention.ms"].value, rows["retention.ms"].overridden) == ("60000", False)
    assert rows["cleanup.policy"].value == "delete"


def test_settings_are_frozen():
    with pytest.raises(AttributeError):
        ServerSettings().node_id = 2


def test_settings_about_several_brokers_can_be_given_and_those_that_cannot_be_kept_are_refused():
    given = {
        "preallocate": "false",
        "unclean.leader.election.enable": "true",
        "leader.replication.throttled.replicas": "0:1,1:1",
        "follower.replication.throttled.replicas": "*",
        "remote.storage.enable": "false",
        "local.retention.ms": "-2",
    }
    assert check_topic_overrides(given)["unclean.leader.election.enable"] is True
    assert resolve(given) == resolve()
    for name, value, reason in (
        ("preallocate", "true", "files grow as records come"),
        ("remote.storage.enable", "true", "there is no tiered storage here"),
        ("leader.replication.throttled.replicas", "first", "PARTITION:BROKER"),
    ):
        with pytest.raises(SettingsError, match=f"{name} can't be '{value}' .*{reason}"):
            check_topic_overrides({name: value})


def test_a_topic_without_cleanup_policy_keeps_everything():
    settings = resolve({"cleanup.policy": ""})
    assert (settings.deletes, settings.compacts) == (False, False)


def test_the_lags_of_compaction_do_not_cross():
    with pytest.raises(
        SettingsError, match=r"max\.compaction\.lag\.ms=10 can't be less than min\.compaction\.lag\.ms=11"
    ):
        resolve({"max.compaction.lag.ms": "10", "min.compaction.lag.ms": "11"}).check()
    resolve({"max.compaction.lag.ms": "10", "min.compaction.lag.ms": "10"}).check()
