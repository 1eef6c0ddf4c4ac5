"""Apache Kafka's own command line tools against the server: topics, settings, directories, quorum, features."""

import json
from pathlib import Path

import pytest

from logserver.testing import LogServer

from .kafka_shell import CONFIGS, TOPICS, Shell

pytestmark = pytest.mark.timeout(300)


def test_topics(shell: Shell) -> None:
    shell(TOPICS, "--create", "--topic", "t", "--partitions", "3", "--replication-factor", "1")
    assert "exists already" in shell(TOPICS, "--create", "--topic", "t", fails=True)
    shell(TOPICS, "--create", "--topic", "manual", "--replica-assignment", "1,1")
    shell(TOPICS, "--alter", "--topic", "t", "--partitions", "5")
    assert shell(TOPICS, "--list").split() == ["manual", "t"]
    described = shell(TOPICS, "--describe", "--topic", "t")
    assert "PartitionCount: 5" in described and described.count("Leader: 1") == 5
    assert shell(TOPICS, "--describe", "--unavailable-partitions") == ""
    shell(TOPICS, "--delete", "--topic", "manual")
    assert shell(TOPICS, "--list").split() == ["t"]


def test_settings(shell: Shell) -> None:
    shell(TOPICS, "--create", "--topic", "t")
    topic = ("--entity-type", "topics", "--entity-name", "t")
    shell(CONFIGS, "--alter", *topic, "--add-config", "cleanup.policy=[compact,delete],retention.ms=1000")
    shell(CONFIGS, "--alter", *topic, "--delete-config", "retention.ms")
    own = shell(CONFIGS, "--describe", *topic)
    assert "cleanup.policy=compact,delete" in own and "retention.ms" not in own.replace("delete.retention.ms", "")
    assert "retention.ms=604800000" in shell(CONFIGS, "--describe", *topic, "--all")
    everybody = ("--entity-type", "brokers", "--entity-default")
    shell(CONFIGS, "--alter", *everybody, "--add-config", "log.retention.ms=7000")
    shell(CONFIGS, "--alter", "--broker", "1", "--add-config", "log.retention.ms=8000")
    assert "log.retention.ms=7000" in shell(CONFIGS, "--describe", *everybody)
    node = shell(CONFIGS, "--describe", "--broker", "1")
    assert "DYNAMIC_BROKER_CONFIG:log.retention.ms=8000, DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7000" in node
    fixed = shell(CONFIGS, "--alter", "--broker", "1", "--add-config", "num.partitions=4", fails=True)
    assert "num.partitions can't be changed while the server runs" in fixed
    group = ("--entity-type", "groups", "--entity-name", "g")
    shell(CONFIGS, "--alter", *group, "--add-config", "consumer.session.timeout.ms=50000")
    assert "consumer.session.timeout.ms=50000" in shell(CONFIGS, "--describe", *group)
    loggers = ("--entity-type", "broker-loggers", "--entity-name", "1")
    assert "logserver.kafka=" in shell(CONFIGS, "--describe", *loggers)


def test_subscriptions_to_metrics(shell: Shell) -> None:
    name = ("--name", "s")
    shell("ClientMetricsCommand", "--alter", *name, "--metrics", "org.apache.kafka.", "--interval", "2000")
    assert shell("ClientMetricsCommand", "--list").split() == ["s"]
    described = shell("ClientMetricsCommand", "--describe", *name)
    assert "interval.ms=2000" in described and "metrics=org.apache.kafka." in described
    shell("ClientMetricsCommand", "--delete", *name)
    assert shell("ClientMetricsCommand", "--list").split() == []


def test_one_node(shell: Shell, server: LogServer, tmp_path: Path) -> None:
    shell(TOPICS, "--create", "--topic", "t")
    directories = json.loads(shell("LogDirsCommand", "--describe").splitlines()[-1])
    (directory,) = directories["brokers"][0]["logDirs"]
    assert (directory["logDir"], directory["error"]) == (server.data_dir, None)
    assert [found["partition"] for found in directory["partitions"]] == ["t-0"]
    status = shell("MetadataQuorumCommand", "describe", "--status")
    assert "LeaderId:               1" in status and "MaxFollowerLag:         0" in status
    assert "Leader" in shell("MetadataQuorumCommand", "describe", "--replication")
    features = shell("FeatureCommand", "describe")
    assert "group.version" in features and "4.3-IV0" in features
    shell("FeatureCommand", "upgrade", "--feature", "group.version=1")
    shell("FeatureCommand", "downgrade", "--feature", "group.version=0", fails=True)
    versions = shell("BrokerApiVersionsCommand")
    assert "Produce(0): 0 to 13 [usable: 13]" in versions
    elected = shell("LeaderElectionCommand", "--election-type", "preferred", "--topic", "t", "--partition", "0")
    assert "Valid replica already elected for partitions t-0" in elected
    shell("LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")
    plan = tmp_path / "plan.json"
    plan.write_text('{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1]}]}')
    command = "reassign.ReassignPartitionsCommand"
    options = ("--reassignment-json-file", str(plan))
    assert "Successfully started" in shell(command, "--execute", *options)
    assert "Reassignment of partition t-0 is completed" in shell(command, "--verify", *options)
    assert "No partition reassignments found" in shell(command, "--list")
    assert "SecurityDisabledException" in shell("AclCommand", "--list", fails=True)
    assert "TransactionalId" in shell("TransactionsCommand", "list")
