"""Records that a broker of today does not write, from the message classes of Apache Kafka 4.3.1 themselves.

`MessageUtil.toVersionPrefixedBytes` made them of the classes in `kafka-group-coordinator` and the values expected.
"""

from typing import Final

from logserver.coordinator.formats import (
    ClassicMember,
    ClassicMemberMetadata,
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupPartitionMetadataValue,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    GroupMetadataKey,
    GroupMetadataValue,
    MemberState,
    OffsetCommitKey,
    OffsetCommitValue,
    OwnedTopicPartitions,
    PartitionRacks,
    TopicMetadata,
)

from .vectors import Vector

h = bytes.fromhex

VECTORS: Final = [
    Vector(
        "offset commit, version 0",
        h("000100016700066f72646572730000000c"),
        h("00000000011f71fb04cb00056dc3a974610000019e70448800"),
        OffsetCommitKey(group="g", topic="orders", partition=12),
        OffsetCommitValue(
            offset=1234567890123,
            leader_epoch=-1,
            metadata="méta",
            commit_timestamp_ms=1780000000000,
            expire_timestamp_ms=-1,
            topic_id=None,
        ),
        is_written=False,
    ),
    Vector(
        "offset commit, version 1",
        h("000100016700066f72646572730000000c"),
        h("00010000011f71fb04cb00056dc3a974610000019e704488000000019e704a0640"),
        OffsetCommitKey(group="g", topic="orders", partition=12),
        OffsetCommitValue(
            offset=1234567890123,
            leader_epoch=-1,
            metadata="méta",
            commit_timestamp_ms=1780000000000,
            expire_timestamp_ms=1780000360000,
            topic_id=None,
        ),
    ),
    Vector(
        "offset commit, version 2",
        h("000100016700066f72646572730000000c"),
        h("00020000011f71fb04cb00056dc3a974610000019e70448800"),
        OffsetCommitKey(group="g", topic="orders", partition=12),
        OffsetCommitValue(
            offset=1234567890123,
            leader_epoch=-1,
            metadata="méta",
            commit_timestamp_ms=1780000000000,
            expire_timestamp_ms=-1,
            topic_id=None,
        ),
        is_written=False,
    ),
    Vector(
        "offset commit, version 3",
        h("000100016700066f72646572730000000c"),
        h("00030000011f71fb04cb0000000900056dc3a974610000019e70448800"),
        OffsetCommitKey(group="g", topic="orders", partition=12),
        OffsetCommitValue(
            offset=1234567890123,
            leader_epoch=9,
            metadata="méta",
            commit_timestamp_ms=1780000000000,
            expire_timestamp_ms=-1,
            topic_id=None,
        ),
        is_written=False,
    ),
    Vector(
        "offset commit, version 4",
        h("000100016700066f72646572730000000c"),
        h("00040000011f71fb04cb00000009066dc3a974610000019e70448800010010e4d194072b7e49a5b221473dfc72a9b9"),
        OffsetCommitKey(group="g", topic="orders", partition=12),
        OffsetCommitValue(
            offset=1234567890123,
            leader_epoch=9,
            metadata="méta",
            commit_timestamp_ms=1780000000000,
            expire_timestamp_ms=-1,
            topic_id="5NGUByt-SaWyIUc9_HKpuQ",
        ),
    ),
    Vector(
        "offset commit, version 4 without topic id",
        h("000100016700066f72646572730000000c"),
        h("00040000000000000000ffffffff010000019e7044880000"),
        OffsetCommitKey(group="g", topic="orders", partition=12),
        OffsetCommitValue(
            offset=0,
            leader_epoch=-1,
            metadata="",
            commit_timestamp_ms=1780000000000,
            expire_timestamp_ms=-1,
            topic_id=None,
        ),
    ),
    Vector(
        "legacy offset commit",
        h("000000016700066f72646572730000000c"),
        h("0000000000000000000500036f6c6400000145f680b000"),
        OffsetCommitKey(group="g", topic="orders", partition=12),
        OffsetCommitValue(
            offset=5,
            leader_epoch=-1,
            metadata="old",
            commit_timestamp_ms=1400000000000,
            expire_timestamp_ms=-1,
            topic_id=None,
        ),
        is_written=False,
    ),
    Vector(
        "group metadata, version 0",
        h("0002000167"),
        h(
            "00000007636f6e6e65637400000007000572616e676500036d2d310000000100036d2d31000163000a2f3132372e302e"
            "302e310000271000000002010200000000"
        ),
        GroupMetadataKey(group="g"),
        GroupMetadataValue(
            protocol_type="connect",
            generation=7,
            protocol="range",
            leader="m-1",
            current_state_timestamp_ms=-1,
            members=(
                ClassicMember(
                    member_id="m-1",
                    group_instance_id=None,
                    client_id="c",
                    client_host="/127.0.0.1",
                    rebalance_timeout_ms=-1,
                    session_timeout_ms=10000,
                    subscription=b"\x01\x02",
                    assignment=b"",
                ),
            ),
        ),
        is_written=False,
    ),
    Vector(
        "group metadata, version 1",
        h("0002000167"),
        h(
            "00010007636f6e6e65637400000007000572616e676500036d2d310000000100036d2d31000163000a2f3132372e302e"
            "302e310000ea600000271000000002010200000000"
        ),
        GroupMetadataKey(group="g"),
        GroupMetadataValue(
            protocol_type="connect",
            generation=7,
            protocol="range",
            leader="m-1",
            current_state_timestamp_ms=-1,
            members=(
                ClassicMember(
                    member_id="m-1",
                    group_instance_id=None,
                    client_id="c",
                    client_host="/127.0.0.1",
                    rebalance_timeout_ms=60000,
                    session_timeout_ms=10000,
                    subscription=b"\x01\x02",
                    assignment=b"",
                ),
            ),
        ),
        is_written=False,
    ),
    Vector(
        "group metadata, version 2",
        h("0002000167"),
        h(
            "00020007636f6e6e65637400000007000572616e676500036d2d310000019e704488000000000100036d2d3100016300"
            "0a2f3132372e302e302e310000ea600000271000000002010200000000"
        ),
        GroupMetadataKey(group="g"),
        GroupMetadataValue(
            protocol_type="connect",
            generation=7,
            protocol="range",
            leader="m-1",
            current_state_timestamp_ms=1780000000000,
            members=(
                ClassicMember(
                    member_id="m-1",
                    group_instance_id=None,
                    client_id="c",
                    client_host="/127.0.0.1",
                    rebalance_timeout_ms=60000,
                    session_timeout_ms=10000,
                    subscription=b"\x01\x02",
                    assignment=b"",
                ),
            ),
        ),
        is_written=False,
    ),
    Vector(
        "group metadata, version 3",
        h("0002000167"),
        h(
            "00030007636f6e6e65637400000007000572616e676500036d2d310000019e704488000000000100036d2d310003692d"
            "31000163000a2f3132372e302e302e310000ea600000271000000002010200000000"
        ),
        GroupMetadataKey(group="g"),
        GroupMetadataValue(
            protocol_type="connect",
            generation=7,
            protocol="range",
            leader="m-1",
            current_state_timestamp_ms=1780000000000,
            members=(
                ClassicMember(
                    member_id="m-1",
                    group_instance_id="i-1",
                    client_id="c",
                    client_host="/127.0.0.1",
                    rebalance_timeout_ms=60000,
                    session_timeout_ms=10000,
                    subscription=b"\x01\x02",
                    assignment=b"",
                ),
            ),
        ),
    ),
    Vector(
        "group metadata, version 4",
        h("0002000167"),
        h(
            "000408636f6e6e656374000000070672616e6765046d2d310000019e7044880002046d2d3104692d3102630b2f313237"
            "2e302e302e310000ea6000002710030102010000"
        ),
        GroupMetadataKey(group="g"),
        GroupMetadataValue(
            protocol_type="connect",
            generation=7,
            protocol="range",
            leader="m-1",
            current_state_timestamp_ms=1780000000000,
            members=(
                ClassicMember(
                    member_id="m-1",
                    group_instance_id="i-1",
                    client_id="c",
                    client_host="/127.0.0.1",
                    rebalance_timeout_ms=60000,
                    session_timeout_ms=10000,
                    subscription=b"\x01\x02",
                    assignment=b"",
                ),
            ),
        ),
        is_written=False,
    ),
    Vector(
        "topics of a group before 4.1",
        h("0004000167"),
        h(
            "000002e4d194072b7e49a5b221473dfc72a9b9076f726465727300000002030000000003077261636b2d61077261636b"
            "2d62000000000101000000"
        ),
        ConsumerGroupPartitionMetadataKey(group="g"),
        ConsumerGroupPartitionMetadataValue(
            topics=(
                TopicMetadata(
                    topic_id="5NGUByt-SaWyIUc9_HKpuQ",
                    topic="orders",
                    partition_count=2,
                    partition_racks=(
                        PartitionRacks(partition=0, racks=("rack-a", "rack-b")),
                        PartitionRacks(partition=1, racks=()),
                    ),
                ),
            )
        ),
        is_written=False,
    ),
    Vector(
        "member, classic metadata left at the schema's default",
        h("000500016700016d"),
        h("000002690102630268030261026200ffffffff08756e69666f726d00"),
        ConsumerGroupMemberMetadataKey(group="g", member_id="m"),
        ConsumerGroupMemberMetadataValue(
            instance_id="i",
            rack_id="",
            client_id="c",
            client_host="h",
            subscribed_topic_names=("a", "b"),
            subscribed_topic_regex=None,
            rebalance_timeout_ms=-1,
            server_assignor="uniform",
            classic_member_metadata=ClassicMemberMetadata(session_timeout_ms=0, supported_protocols=()),
        ),
    ),
    Vector(
        "member, classic metadata null, all else empty or null",
        h("000500016700016d"),
        h("0000000001010100ffffffff0001000100"),
        ConsumerGroupMemberMetadataKey(group="g", member_id="m"),
        ConsumerGroupMemberMetadataValue(
            instance_id=None,
            rack_id=None,
            client_id="",
            client_host="",
            subscribed_topic_names=(),
            subscribed_topic_regex=None,
            rebalance_timeout_ms=-1,
            server_assignor=None,
            classic_member_metadata=None,
        ),
    ),
    Vector(
        "member with a tagged field of a later release",
        h("000500016700016d"),
        h("00000000026302680100ffffffff0002000100ac0203010203"),
        ConsumerGroupMemberMetadataKey(group="g", member_id="m"),
        ConsumerGroupMemberMetadataValue(
            instance_id=None,
            rack_id=None,
            client_id="c",
            client_host="h",
            subscribed_topic_names=(),
            subscribed_topic_regex=None,
            rebalance_timeout_ms=-1,
            server_assignor=None,
            classic_member_metadata=None,
        ),
        is_written=False,
    ),
    Vector(
        "current assignment before 4.3, without assignment epochs",
        h("000800016700016d"),
        h("000000000005000000040002e4d194072b7e49a5b221473dfc72a9b9030000000000000007000100"),
        ConsumerGroupCurrentMemberAssignmentKey(group="g", member_id="m"),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=5,
            previous_member_epoch=4,
            state=MemberState.STABLE,
            assigned=(
                OwnedTopicPartitions(topic_id="5NGUByt-SaWyIUc9_HKpuQ", partitions=(0, 7), assignment_epochs=None),
            ),
            partitions_pending_revocation=(),
        ),
    ),
    Vector(
        "current assignment, assignment epochs null, state of a later release",
        h("000800016700016d"),
        h("0000ffffffff000000040902e4d194072b7e49a5b221473dfc72a9b90200000003010001000100"),
        ConsumerGroupCurrentMemberAssignmentKey(group="g", member_id="m"),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=-1,
            previous_member_epoch=4,
            state=MemberState.UNKNOWN,
            assigned=(
                OwnedTopicPartitions(topic_id="5NGUByt-SaWyIUc9_HKpuQ", partitions=(3,), assignment_epochs=None),
            ),
            partitions_pending_revocation=(),
        ),
        is_written=False,
    ),
    Vector(
        "current assignment, fewer assignment epochs than partitions",
        h("000800016700016d"),
        h("000000000005000000040202e4d194072b7e49a5b221473dfc72a9b903000000010000000201000502000000030100"),
        ConsumerGroupCurrentMemberAssignmentKey(group="g", member_id="m"),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=5,
            previous_member_epoch=4,
            state=MemberState.UNRELEASED_PARTITIONS,
            assigned=(
                OwnedTopicPartitions(topic_id="5NGUByt-SaWyIUc9_HKpuQ", partitions=(1, 2), assignment_epochs=None),
            ),
            partitions_pending_revocation=(),
        ),
        is_written=False,
    ),
    Vector(
        "target assignment epoch before 4.3",
        h("0006000167"),
        h("00007fffffff00"),
        ConsumerGroupTargetAssignmentMetadataKey(group="g"),
        ConsumerGroupTargetAssignmentMetadataValue(assignment_epoch=2147483647, assignment_timestamp_ms=0),
    ),
    Vector(
        "expression without topics",
        h("001000016700045e612e2a"),
        h("000001ffffffffffffffff000000000000000000"),
        ConsumerGroupRegularExpressionKey(group="g", regular_expression="^a.*"),
        ConsumerGroupRegularExpressionValue(topics=(), version=-1, timestamp_ms=0),
    ),
]
