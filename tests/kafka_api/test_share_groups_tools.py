"""Apache Kafka's own kafka-share-groups, kafka-groups and kafka-configs against share groups."""

import pytest

from logserver.testing import LogServer

from .kafka_shell import CONFIGS, Shell, rows
from .raw_client import RawClient
from .records import create_topic
from .test_share_groups import beat

pytestmark = pytest.mark.timeout(300)

SHARE_GROUPS = "consumer.group.ShareGroupCommand"


def test_groups_and_their_members(server: LogServer, client: RawClient, shell: Shell) -> None:
    create_topic(server, partitions=2)
    beat(client)
    assert [(row["GROUP"], row["STATE"]) for row in rows(shell(SHARE_GROUPS, "--list", "--state"))] == [("g", "Stable")]
    listed = rows(shell("GroupsCommand", "--list", "--share"))
    assert [(row["GROUP"], row["TYPE"], row["PROTOCOL"]) for row in listed] == [("g", "Share", "share")]
    described = shell(SHARE_GROUPS, "--describe", "--group", "g", "--state")
    assert described.split()[-2:] == ["Stable", "1"], described
    (member,) = rows(shell(SHARE_GROUPS, "--describe", "--group", "g", "--members", "--verbose"))
    assert (member["CONSUMER-ID"], member["HOST"], member["CLIENT-ID"]) == ("m", "/127.0.0.1", "raw")
    assert (member["#PARTITIONS"], member["MEMBER-EPOCH"], member["ASSIGNMENT"]) == ("2", "2", "t:0,1")
    assert "not EMPTY" in shell(SHARE_GROUPS, "--delete", "--group", "g")
    beat(client, "m", -1)
    assert "successful" in shell(SHARE_GROUPS, "--delete", "--group", "g")
    assert not rows("GROUP\n" + shell(SHARE_GROUPS, "--list"))


def test_settings(server: LogServer, shell: Shell) -> None:
    shell(CONFIGS, "--alter", "--group", "g", "--add-config", "share.auto.offset.reset=earliest")
    described = shell(CONFIGS, "--describe", "--group", "g")
    assert "share.auto.offset.reset=earliest" in described
    wrong = shell(CONFIGS, "--alter", "--group", "g", "--add-config", "share.delivery.count.limit=11", fails=True)
    assert "from 2 to 10" in wrong


def test_the_feature_that_share_consumers_look_for(server: LogServer, shell: Shell) -> None:
    (share,) = (line for line in shell("FeatureCommand", "describe").splitlines() if "share.version" in line)
    assert "FinalizedVersionLevel: 1" in share
