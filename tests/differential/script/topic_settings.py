"""Every setting of a topic, with values that can be had and others."""

from typing import Final

from ..keys import Key
from ..session import Session
from .asking import configs, describe

_GIVEN: Final = {
    "cleanup.policy": ("delete", "compact", "compact,delete", "", "nonsense", "delete,delete", " delete", "DELETE"),
    "compression.gzip.level": ("1", "9", "-1", "0", "10"),
    "compression.lz4.level": ("1", "17", "0", "18"),
    "compression.type": ("zstd", "none", "uncompressed", ""),
    "compression.zstd.level": ("3", "-131072", "22", "23"),
    "delete.retention.ms": ("0", "-1"),
    "file.delete.delay.ms": ("0", "-1"),
    "flush.messages": ("1", "0", "9223372036854775807", "9223372036854775808"),
    "flush.ms": ("0", "-1"),
    "follower.replication.throttled.replicas": ("", "*", "0:1", "nonsense"),
    "index.interval.bytes": ("0", "-1", "2147483648"),
    "leader.replication.throttled.replicas": ("", "*", "0:1", "nonsense"),
    "local.retention.bytes": ("-2", "100", "-3"),
    "local.retention.ms": ("-2", "100", "-3"),
    "max.compaction.lag.ms": ("1", "0", "9223372036854775807"),
    "max.message.bytes": ("0", "-1", "1000"),
    "message.downconversion.enable": ("true",),
    "message.format.version": ("3.0",),
    "message.timestamp.after.max.ms": ("0", "-1"),
    "message.timestamp.before.max.ms": ("0", "-1"),
    "message.timestamp.difference.max.ms": ("1000",),
    "message.timestamp.type": ("CreateTime", "LogAppendTime", "logappendtime"),
    "min.cleanable.dirty.ratio": ("0", "1", "1.1", "-0.1", "0.55", "x"),
    "min.compaction.lag.ms": ("0", "-1", "10"),
    "min.insync.replicas": ("1", "2", "0"),
    "preallocate": ("true", "false", "yes"),
    "remote.copy.lag.bytes": ("0", "-1"),
    "remote.copy.lag.ms": ("0", "-1"),
    "remote.log.copy.disable": ("true", "false"),
    "remote.log.delete.on.disable": ("true", "false"),
    "remote.storage.enable": ("false", "true"),
    "retention.bytes": ("-1", "100", "-2"),
    "retention.ms": ("-1", "100", "-2", " 100 ", "1e3", "1_000", "+5"),
    "segment.bytes": ("1048576", "14", "1024", "1048575", "0"),
    "segment.index.bytes": ("4", "3"),
    "segment.jitter.ms": ("0", "100", "-1"),
    "segment.ms": ("1", "0"),
    "unclean.leader.election.enable": ("true", "false", "maybe"),
    "errors.deadletterqueue.group.enable": ("true", "false"),
    "nonsense": ("1",),
}


def topic_settings(s: Session) -> None:
    """Topics are created with each, to look only; then described."""
    for name, values in _GIVEN.items():
        for number, value in enumerate(values):
            topic = {"name": f"set-{number}", "num_partitions": 1, "replication_factor": 1}
            message = {"topics": [topic | {"configs": configs({name: value})}], "validate_only": True}
            s.ask(f"{name}={value}", Key.CREATE_TOPICS, 7, {**message, "timeout_ms": 20_000})
    both = {"min.compaction.lag.ms": "100", "max.compaction.lag.ms": "10"}
    topic = {"name": "set-both", "num_partitions": 1, "replication_factor": 1, "configs": configs(both)}
    s.ask("lags crossed", Key.CREATE_TOPICS, 7, {"topics": [topic], "timeout_ms": 20_000})
    null = {**topic, "configs": configs({"retention.ms": None})}
    s.ask("null", Key.CREATE_TOPICS, 7, {"topics": [null], "timeout_ms": 20_000})
    twice = {**topic, "configs": [*configs({"retention.ms": "1"}), *configs({"retention.ms": "2"})]}
    s.ask("twice", Key.CREATE_TOPICS, 7, {"topics": [twice], "timeout_ms": 20_000})
    s.topic("set-plain")
    describe(s, "described", 2, "set-plain")
    s.topic(
        "set-own",
        1,
        {
            "retention.ms": "5000",
            "cleanup.policy": "compact",
            "preallocate": "false",
            "unclean.leader.election.enable": "true",
            "segment.jitter.ms": "10",
        },
    )
    describe(s, "own described", 2, "set-own")
