"""Records from the log of a broker of Apache Kafka 4.3.1, one node with two partitions of `__consumer_offsets`.

Clients of the same release did what each line says; the fields are those that its DumpLogSegments prints.
"""

from typing import Final

from logserver.coordinator.formats import (
    ClassicMember,
    ClassicMemberMetadata,
    ClassicProtocol,
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    GroupMetadataKey,
    GroupMetadataValue,
    MemberState,
    OffsetCommitKey,
    OffsetCommitValue,
    OwnedTopicPartitions,
    TopicPartitions,
)

from .vectors import Vector

h = bytes.fromhex

VECTORS: Final = [
    Vector(
        "commit by a consumer without group, offset above 2**53, leader epoch 2**31-1, group id not ASCII",
        h("0001000b6772c3b6c39f652de7b58400046265746100000001"),
        h("000400200000000000017fffffff01000001a1fe86805d0100107992cc55d8c048f39344550b3e27ea7b"),
        OffsetCommitKey(group="größe-組", topic="beta", partition=1),
        OffsetCommitValue(
            offset=9007199254740993,
            leader_epoch=2147483647,
            metadata="",
            commit_timestamp_ms=1795271589981,
            expire_timestamp_ms=-1,
            topic_id="eZLMVdjASPOTRFULPifqew",
        ),
    ),
    Vector(
        "a classic group is made, before its first member has joined",
        h("0002000d636c61737369632d67726f7570"),
        h("0003000000000000ffffffff000001a1fe86809700000000"),
        GroupMetadataKey(group="classic-group"),
        GroupMetadataValue(
            protocol_type="",
            generation=0,
            protocol=None,
            leader=None,
            current_state_timestamp_ms=1795271590039,
            members=(),
        ),
    ),
    Vector(
        "a static member joins the classic group and is its only one: generation 1",
        h("0002000d636c61737369632d67726f7570"),
        h(
            "00030008636f6e73756d657200000001000572616e6765002d7374617469632d312d38363336653839362d643132332d"
            "343761342d383764342d633535363633366534366133000001a1fe86809b00000001002d7374617469632d312d383633"
            "36653839362d643132332d343761342d383764342d63353536363336653436613300087374617469632d3100056b2d6f"
            "6e65000a2f3132372e302e302e31000493e000002710000000210003000000020005616c706861000462657461ffffff"
            "ff00000000ffffffffffff000000330003000000020005616c7068610000000300000000000000010000000200046265"
            "7461000000020000000000000001ffffffff"
        ),
        GroupMetadataKey(group="classic-group"),
        GroupMetadataValue(
            protocol_type="consumer",
            generation=1,
            protocol="range",
            leader="static-1-8636e896-d123-47a4-87d4-c556636e46a3",
            current_state_timestamp_ms=1795271590043,
            members=(
                ClassicMember(
                    member_id="static-1-8636e896-d123-47a4-87d4-c556636e46a3",
                    group_instance_id="static-1",
                    client_id="k-one",
                    client_host="/127.0.0.1",
                    rebalance_timeout_ms=300000,
                    session_timeout_ms=10000,
                    subscription=b"\x00\x03\x00\x00\x00\x02\x00\x05alpha\x00\x04beta\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff",
                    assignment=b"\x00\x03\x00\x00\x00\x02\x00\x05alpha\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x04beta\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff",
                ),
            ),
        ),
    ),
    Vector(
        "commit by the static member, with metadata and leader epoch",
        h("0001000d636c61737369632d67726f75700005616c70686100000000"),
        h("00040000000000000002000000000866726f6d206b31000001a1fe8680ec010010e4d194072b7e49a5b221473dfc72a9b9"),
        OffsetCommitKey(group="classic-group", topic="alpha", partition=0),
        OffsetCommitValue(
            offset=2,
            leader_epoch=0,
            metadata="from k1",
            commit_timestamp_ms=1795271590124,
            expire_timestamp_ms=-1,
            topic_id="5NGUByt-SaWyIUc9_HKpuQ",
        ),
    ),
    Vector(
        "a second, dynamic member joins: generation 2",
        h("0002000d636c61737369632d67726f7570"),
        h(
            "00030008636f6e73756d657200000002000572616e6765002d7374617469632d312d38363336653839362d643132332d"
            "343761342d383764342d633535363633366534366133000001a1fe868c6400000002002d7374617469632d312d383633"
            "36653839362d643132332d343761342d383764342d63353536363336653436613300087374617469632d3100056b2d6f"
            "6e65000a2f3132372e302e302e31000493e000002710000000210003000000020005616c706861000462657461ffffff"
            "ff0000000000000001ffff0000002b0003000000020005616c7068610000000200000000000000010004626574610000"
            "000100000000ffffffff002a6b2d74776f2d38373733646637302d396235622d346465652d613362362d653161356231"
            "363931316565ffff00056b2d74776f000a2f3132372e302e302e310000ea6000002ee000000021000300000002000561"
            "6c706861000462657461ffffffff00000000ffffffffffff000000270003000000020005616c70686100000001000000"
            "020004626574610000000100000001ffffffff"
        ),
        GroupMetadataKey(group="classic-group"),
        GroupMetadataValue(
            protocol_type="consumer",
            generation=2,
            protocol="range",
            leader="static-1-8636e896-d123-47a4-87d4-c556636e46a3",
            current_state_timestamp_ms=1795271593060,
            members=(
                ClassicMember(
                    member_id="static-1-8636e896-d123-47a4-87d4-c556636e46a3",
                    group_instance_id="static-1",
                    client_id="k-one",
                    client_host="/127.0.0.1",
                    rebalance_timeout_ms=300000,
                    session_timeout_ms=10000,
                    subscription=b"\x00\x03\x00\x00\x00\x02\x00\x05alpha\x00\x04beta\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff",
                    assignment=b"\x00\x03\x00\x00\x00\x02\x00\x05alpha\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00\x04beta\x00\x00\x00\x01\x00\x00\x00\x00\xff\xff\xff\xff",
                ),
                ClassicMember(
                    member_id="k-two-8773df70-9b5b-4dee-a3b6-e1a5b16911ee",
                    group_instance_id=None,
                    client_id="k-two",
                    client_host="/127.0.0.1",
                    rebalance_timeout_ms=60000,
                    session_timeout_ms=12000,
                    subscription=b"\x00\x03\x00\x00\x00\x02\x00\x05alpha\x00\x04beta\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff",
                    assignment=b"\x00\x03\x00\x00\x00\x02\x00\x05alpha\x00\x00\x00\x01\x00\x00\x00\x02\x00\x04beta\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff",
                ),
            ),
        ),
    ),
    Vector(
        "all members have left",
        h("0002000d636c61737369632d67726f7570"),
        h("00030008636f6e73756d657200000004ffffffff000001a1fe8698ad00000000"),
        GroupMetadataKey(group="classic-group"),
        GroupMetadataValue(
            protocol_type="consumer",
            generation=4,
            protocol=None,
            leader=None,
            current_state_timestamp_ms=1795271596205,
            members=(),
        ),
    ),
    Vector(
        "the group is deleted: tombstone of its offset",
        h("0001000d636c61737369632d67726f75700005616c70686100000000"),
        None,
        OffsetCommitKey(group="classic-group", topic="alpha", partition=0),
        None,
    ),
    Vector(
        "the group is deleted: tombstone of the group",
        h("0002000d636c61737369632d67726f7570"),
        None,
        GroupMetadataKey(group="classic-group"),
        None,
    ),
    Vector(
        "commit of an offset and nothing else",
        h("0001000a7374616e64616c6f6e650005616c70686100000000"),
        h("00040000000000000005ffffffff01000001a1fe867fe2010010e4d194072b7e49a5b221473dfc72a9b9"),
        OffsetCommitKey(group="standalone", topic="alpha", partition=0),
        OffsetCommitValue(
            offset=5,
            leader_epoch=-1,
            metadata="",
            commit_timestamp_ms=1795271589858,
            expire_timestamp_ms=-1,
            topic_id="5NGUByt-SaWyIUc9_HKpuQ",
        ),
    ),
    Vector(
        "commit with metadata that is not ASCII",
        h("0001000a7374616e64616c6f6e650005616c70686100000001"),
        h(
            "000400000000000000070000000013776f726b65722d332040205ac3bc72696368000001a1fe867fee010010e4d19407"
            "2b7e49a5b221473dfc72a9b9"
        ),
        OffsetCommitKey(group="standalone", topic="alpha", partition=1),
        OffsetCommitValue(
            offset=7,
            leader_epoch=0,
            metadata="worker-3 @ Zürich",
            commit_timestamp_ms=1795271589870,
            expire_timestamp_ms=-1,
            topic_id="5NGUByt-SaWyIUc9_HKpuQ",
        ),
    ),
    Vector(
        "commit with 130 characters of metadata: its length takes two bytes",
        h("0001000a7374616e64616c6f6e650005616c70686100000002"),
        h(
            "000400000000000000000000000483016d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d"
            "6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d"
            "6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d"
            "6d6d000001a1fe867ff1010010e4d194072b7e49a5b221473dfc72a9b9"
        ),
        OffsetCommitKey(group="standalone", topic="alpha", partition=2),
        OffsetCommitValue(
            offset=0,
            leader_epoch=4,
            metadata="mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm",
            commit_timestamp_ms=1795271589873,
            expire_timestamp_ms=-1,
            topic_id="5NGUByt-SaWyIUc9_HKpuQ",
        ),
    ),
    Vector(
        "the admin client deletes that offset",
        h("0001000a7374616e64616c6f6e650005616c70686100000002"),
        None,
        OffsetCommitKey(group="standalone", topic="alpha", partition=2),
        None,
    ),
    Vector(
        "the admin client sets an offset",
        h("0001000e72657365742d62792d61646d696e00046265746100000000"),
        h("00040000000000000003ffffffff0962792061646d696e000001a1fe8680710100107992cc55d8c048f39344550b3e27ea7b"),
        OffsetCommitKey(group="reset-by-admin", topic="beta", partition=0),
        OffsetCommitValue(
            offset=3,
            leader_epoch=-1,
            metadata="by admin",
            commit_timestamp_ms=1795271590001,
            expire_timestamp_ms=-1,
            topic_id="eZLMVdjASPOTRFULPifqew",
        ),
    ),
    Vector(
        "a static member with rack and assignor joins a consumer group",
        h("0005000c6d6f6465726e2d67726f757000166763662d7446636b534c796a496a5266343459414d51"),
        h(
            "000007696e73742d31077261636b2d61066d2d6f6e650b2f3132372e302e302e310306616c7068610d67616d6d612e6f"
            "726465727301000493e00672616e676501000100"
        ),
        ConsumerGroupMemberMetadataKey(group="modern-group", member_id="gcf-tFckSLyjIjRf44YAMQ"),
        ConsumerGroupMemberMetadataValue(
            instance_id="inst-1",
            rack_id="rack-a",
            client_id="m-one",
            client_host="/127.0.0.1",
            subscribed_topic_names=("alpha", "gamma.orders"),
            subscribed_topic_regex="",
            rebalance_timeout_ms=300000,
            server_assignor="range",
            classic_member_metadata=None,
        ),
    ),
    Vector(
        "the group's epoch after that",
        h("0003000c6d6f6465726e2d67726f7570"),
        h("000000000002010008e8c35c41fa763260"),
        ConsumerGroupMetadataKey(group="modern-group"),
        ConsumerGroupMetadataValue(epoch=2, metadata_hash=-1674393198007012768),
    ),
    Vector(
        "the target assignment of the one member, two topics",
        h("0007000c6d6f6465726e2d67726f757000166763662d7446636b534c796a496a5266343459414d51"),
        h(
            "000003e4d194072b7e49a5b221473dfc72a9b904000000000000000100000002003901a9c699114377aebae7fea258c8"
            "7a05000000000000000100000002000000030000"
        ),
        ConsumerGroupTargetAssignmentMemberKey(group="modern-group", member_id="gcf-tFckSLyjIjRf44YAMQ"),
        ConsumerGroupTargetAssignmentMemberValue(
            assignment=(
                TopicPartitions(topic_id="5NGUByt-SaWyIUc9_HKpuQ", partitions=(0, 1, 2)),
                TopicPartitions(topic_id="OQGpxpkRQ3euuuf-oljIeg", partitions=(0, 1, 2, 3)),
            )
        ),
    ),
    Vector(
        "the group's assignment epoch",
        h("0006000c6d6f6465726e2d67726f7570"),
        h("000000000002010008000001a1fe869ee8"),
        ConsumerGroupTargetAssignmentMetadataKey(group="modern-group"),
        ConsumerGroupTargetAssignmentMetadataValue(assignment_epoch=2, assignment_timestamp_ms=1795271597800),
    ),
    Vector(
        "the member has all partitions",
        h("0008000c6d6f6465726e2d67726f757000166763662d7446636b534c796a496a5266343459414d51"),
        h(
            "0000000000020000000000033901a9c699114377aebae7fea258c87a0500000000000000010000000200000003010011"
            "0500000002000000020000000200000002e4d194072b7e49a5b221473dfc72a9b9040000000000000001000000020100"
            "0d040000000200000002000000020100"
        ),
        ConsumerGroupCurrentMemberAssignmentKey(group="modern-group", member_id="gcf-tFckSLyjIjRf44YAMQ"),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=2,
            previous_member_epoch=0,
            state=MemberState.STABLE,
            assigned=(
                OwnedTopicPartitions(
                    topic_id="OQGpxpkRQ3euuuf-oljIeg", partitions=(0, 1, 2, 3), assignment_epochs=(2, 2, 2, 2)
                ),
                OwnedTopicPartitions(
                    topic_id="5NGUByt-SaWyIUc9_HKpuQ", partitions=(0, 1, 2), assignment_epochs=(2, 2, 2)
                ),
            ),
            partitions_pending_revocation=(),
        ),
    ),
    Vector(
        "a second, plain member joins",
        h("0005000c6d6f6465726e2d67726f757000167841724f705148755252325148303232477964514351"),
        h("00000000066d2d74776f0b2f3132372e302e302e310306616c7068610d67616d6d612e6f726465727301000493e00001000100"),
        ConsumerGroupMemberMetadataKey(group="modern-group", member_id="xArOpQHuRR2QH022GydQCQ"),
        ConsumerGroupMemberMetadataValue(
            instance_id=None,
            rack_id=None,
            client_id="m-two",
            client_host="/127.0.0.1",
            subscribed_topic_names=("alpha", "gamma.orders"),
            subscribed_topic_regex="",
            rebalance_timeout_ms=300000,
            server_assignor=None,
            classic_member_metadata=None,
        ),
    ),
    Vector(
        "the first member has partitions to give up and holds them back",
        h("0008000c6d6f6465726e2d67726f757000166763662d7446636b534c796a496a5266343459414d51"),
        h(
            "0000000000020000000201033901a9c699114377aebae7fea258c87a0300000000000000010100090300000002000000"
            "02e4d194072b7e49a5b221473dfc72a9b9030000000000000001010009030000000200000002033901a9c699114377ae"
            "bae7fea258c87a030000000200000003010009030000000200000002e4d194072b7e49a5b221473dfc72a9b902000000"
            "02010005020000000200"
        ),
        ConsumerGroupCurrentMemberAssignmentKey(group="modern-group", member_id="gcf-tFckSLyjIjRf44YAMQ"),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=2,
            previous_member_epoch=2,
            state=MemberState.UNREVOKED_PARTITIONS,
            assigned=(
                OwnedTopicPartitions(topic_id="OQGpxpkRQ3euuuf-oljIeg", partitions=(0, 1), assignment_epochs=(2, 2)),
                OwnedTopicPartitions(topic_id="5NGUByt-SaWyIUc9_HKpuQ", partitions=(0, 1), assignment_epochs=(2, 2)),
            ),
            partitions_pending_revocation=(
                OwnedTopicPartitions(topic_id="OQGpxpkRQ3euuuf-oljIeg", partitions=(2, 3), assignment_epochs=(2, 2)),
                OwnedTopicPartitions(topic_id="5NGUByt-SaWyIUc9_HKpuQ", partitions=(2,), assignment_epochs=(2,)),
            ),
        ),
    ),
    Vector(
        "the second member waits for partitions",
        h("0008000c6d6f6465726e2d67726f757000167841724f705148755252325148303232477964514351"),
        h("0000000000030000000202010100"),
        ConsumerGroupCurrentMemberAssignmentKey(group="modern-group", member_id="xArOpQHuRR2QH022GydQCQ"),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=3,
            previous_member_epoch=2,
            state=MemberState.UNRELEASED_PARTITIONS,
            assigned=(),
            partitions_pending_revocation=(),
        ),
    ),
    Vector(
        "the first member has given them up",
        h("0008000c6d6f6465726e2d67726f757000166763662d7446636b534c796a496a5266343459414d51"),
        h(
            "0000000000030000000200033901a9c699114377aebae7fea258c87a0300000000000000010100090300000002000000"
            "02e4d194072b7e49a5b221473dfc72a9b90300000000000000010100090300000002000000020100"
        ),
        ConsumerGroupCurrentMemberAssignmentKey(group="modern-group", member_id="gcf-tFckSLyjIjRf44YAMQ"),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=3,
            previous_member_epoch=2,
            state=MemberState.STABLE,
            assigned=(
                OwnedTopicPartitions(topic_id="OQGpxpkRQ3euuuf-oljIeg", partitions=(0, 1), assignment_epochs=(2, 2)),
                OwnedTopicPartitions(topic_id="5NGUByt-SaWyIUc9_HKpuQ", partitions=(0, 1), assignment_epochs=(2, 2)),
            ),
            partitions_pending_revocation=(),
        ),
    ),
    Vector(
        "the second member has got its own: newer assignment epochs",
        h("0008000c6d6f6465726e2d67726f757000167841724f705148755252325148303232477964514351"),
        h(
            "0000000000030000000300033901a9c699114377aebae7fea258c87a0300000002000000030100090300000003000000"
            "03e4d194072b7e49a5b221473dfc72a9b9020000000201000502000000030100"
        ),
        ConsumerGroupCurrentMemberAssignmentKey(group="modern-group", member_id="xArOpQHuRR2QH022GydQCQ"),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=3,
            previous_member_epoch=3,
            state=MemberState.STABLE,
            assigned=(
                OwnedTopicPartitions(topic_id="OQGpxpkRQ3euuuf-oljIeg", partitions=(2, 3), assignment_epochs=(3, 3)),
                OwnedTopicPartitions(topic_id="5NGUByt-SaWyIUc9_HKpuQ", partitions=(2,), assignment_epochs=(3,)),
            ),
            partitions_pending_revocation=(),
        ),
    ),
    Vector(
        "a member with the classic protocol joins the consumer group",
        h("0005000c6d6f6465726e2d67726f75700016345135766731336e5153614439514e41423262314851"),
        h(
            "00000000106d2d74687265652d636c61737369630b2f3132372e302e302e310206616c70686101000493e00001005e01"
            "00002328030672616e67651c0003000000010005616c706861ffffffff00000000ffffffffffff0013636f6f70657261"
            "746976652d737469636b79200003000000010005616c70686100000004ffffffff00000000ffffffffffff0000"
        ),
        ConsumerGroupMemberMetadataKey(group="modern-group", member_id="4Q5vg13nQSaD9QNAB2b1HQ"),
        ConsumerGroupMemberMetadataValue(
            instance_id=None,
            rack_id=None,
            client_id="m-three-classic",
            client_host="/127.0.0.1",
            subscribed_topic_names=("alpha",),
            subscribed_topic_regex="",
            rebalance_timeout_ms=300000,
            server_assignor=None,
            classic_member_metadata=ClassicMemberMetadata(
                session_timeout_ms=9000,
                supported_protocols=(
                    ClassicProtocol(
                        name="range",
                        metadata=b"\x00\x03\x00\x00\x00\x01\x00\x05alpha\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff",
                    ),
                    ClassicProtocol(
                        name="cooperative-sticky",
                        metadata=b"\x00\x03\x00\x00\x00\x01\x00\x05alpha\x00\x00\x00\x04\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff",
                    ),
                ),
            ),
        ),
    ),
    Vector(
        "the same, of its current assignment",
        h("0008000c6d6f6465726e2d67726f75700016345135766731336e5153614439514e41423262314851"),
        None,
        ConsumerGroupCurrentMemberAssignmentKey(group="modern-group", member_id="4Q5vg13nQSaD9QNAB2b1HQ"),
        None,
    ),
    Vector(
        "the same, of its target assignment",
        h("0007000c6d6f6465726e2d67726f75700016345135766731336e5153614439514e41423262314851"),
        None,
        ConsumerGroupTargetAssignmentMemberKey(group="modern-group", member_id="4Q5vg13nQSaD9QNAB2b1HQ"),
        None,
    ),
    Vector(
        "the classic member has left: tombstone",
        h("0005000c6d6f6465726e2d67726f75700016345135766731336e5153614439514e41423262314851"),
        None,
        ConsumerGroupMemberMetadataKey(group="modern-group", member_id="4Q5vg13nQSaD9QNAB2b1HQ"),
        None,
    ),
    Vector(
        "a partition comes back to a member: assignment epochs differ inside a topic",
        h("0008000c6d6f6465726e2d67726f757000166763662d7446636b534c796a496a5266343459414d51"),
        h(
            "0000000000050000000400033901a9c699114377aebae7fea258c87a0300000000000000010100090300000002000000"
            "02e4d194072b7e49a5b221473dfc72a9b90300000000000000010100090300000002000000050100"
        ),
        ConsumerGroupCurrentMemberAssignmentKey(group="modern-group", member_id="gcf-tFckSLyjIjRf44YAMQ"),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=5,
            previous_member_epoch=4,
            state=MemberState.STABLE,
            assigned=(
                OwnedTopicPartitions(topic_id="OQGpxpkRQ3euuuf-oljIeg", partitions=(0, 1), assignment_epochs=(2, 2)),
                OwnedTopicPartitions(topic_id="5NGUByt-SaWyIUc9_HKpuQ", partitions=(0, 1), assignment_epochs=(2, 5)),
            ),
            partitions_pending_revocation=(),
        ),
    ),
    Vector(
        "the static member leaves for a while",
        h("0008000c6d6f6465726e2d67726f757000166763662d7446636b534c796a496a5266343459414d51"),
        h(
            "0000fffffffe0000000400033901a9c699114377aebae7fea258c87a0300000000000000010100090300000000000000"
            "00e4d194072b7e49a5b221473dfc72a9b90300000000000000010100090300000000000000000100"
        ),
        ConsumerGroupCurrentMemberAssignmentKey(group="modern-group", member_id="gcf-tFckSLyjIjRf44YAMQ"),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=-2,
            previous_member_epoch=4,
            state=MemberState.STABLE,
            assigned=(
                OwnedTopicPartitions(topic_id="OQGpxpkRQ3euuuf-oljIeg", partitions=(0, 1), assignment_epochs=(0, 0)),
                OwnedTopicPartitions(topic_id="5NGUByt-SaWyIUc9_HKpuQ", partitions=(0, 1), assignment_epochs=(0, 0)),
            ),
            partitions_pending_revocation=(),
        ),
    ),
    Vector(
        "a member subscribes to an expression",
        h("0005000b72656765782d67726f757000166d69724f4343435053414b5f354a7932653072336177"),
        h("0000000006722d6f6e650b2f3132372e302e302e31011228616c7068617c67616d6d615c2e2e2a29000493e00001000100"),
        ConsumerGroupMemberMetadataKey(group="regex-group", member_id="mirOCCCPSAK_5Jy2e0r3aw"),
        ConsumerGroupMemberMetadataValue(
            instance_id=None,
            rack_id=None,
            client_id="r-one",
            client_host="/127.0.0.1",
            subscribed_topic_names=(),
            subscribed_topic_regex="(alpha|gamma\\..*)",
            rebalance_timeout_ms=300000,
            server_assignor=None,
            classic_member_metadata=None,
        ),
    ),
    Vector(
        "the expression is resolved",
        h("0010000b72656765782d67726f7570001128616c7068617c67616d6d615c2e2e2a29"),
        h("00000306616c7068610d67616d6d612e6f72646572730000000000000379000001a1fe86c94800"),
        ConsumerGroupRegularExpressionKey(group="regex-group", regular_expression="(alpha|gamma\\..*)"),
        ConsumerGroupRegularExpressionValue(topics=("alpha", "gamma.orders"), version=889, timestamp_ms=1795271608648),
    ),
    Vector(
        "the last member is gone: no hash of topics",
        h("0003000c6d6f6465726e2d67726f7570"),
        h("00000000000700"),
        ConsumerGroupMetadataKey(group="modern-group"),
        ConsumerGroupMetadataValue(epoch=7, metadata_hash=0),
    ),
    Vector(
        "a member owns a single topic",
        h("0008000b72656765782d67726f757000163562436b755a5a47544c477735483047634d66347941"),
        h("0000000000030000000200027992cc55d8c048f39344550b3e27ea7b0300000000000000010100090300000003000000030100"),
        ConsumerGroupCurrentMemberAssignmentKey(group="regex-group", member_id="5bCkuZZGTLGw5H0GcMf4yA"),
        ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=3,
            previous_member_epoch=2,
            state=MemberState.STABLE,
            assigned=(
                OwnedTopicPartitions(topic_id="eZLMVdjASPOTRFULPifqew", partitions=(0, 1), assignment_epochs=(3, 3)),
            ),
            partitions_pending_revocation=(),
        ),
    ),
    Vector(
        "nobody subscribes to the expression any more",
        h("0010000b72656765782d67726f7570001128616c7068617c67616d6d615c2e2e2a29"),
        None,
        ConsumerGroupRegularExpressionKey(group="regex-group", regular_expression="(alpha|gamma\\..*)"),
        None,
    ),
    Vector(
        "the group is deleted: tombstone of its assignment epoch",
        h("0006000b72656765782d67726f7570"),
        None,
        ConsumerGroupTargetAssignmentMetadataKey(group="regex-group"),
        None,
    ),
    Vector(
        "the group is deleted: tombstone of a type that is no longer written",
        h("0004000b72656765782d67726f7570"),
        None,
        ConsumerGroupPartitionMetadataKey(group="regex-group"),
        None,
    ),
    Vector(
        "the group is deleted: tombstone of the group",
        h("0003000b72656765782d67726f7570"),
        None,
        ConsumerGroupMetadataKey(group="regex-group"),
        None,
    ),
    Vector(
        "commit by OffsetCommit version 2 with a retention time of an hour",
        h("0001000a6f6c642d636c69656e740005616c70686100000001"),
        h("0001000000000000000b00106b65707420666f7220616e20686f7572000001a1fe8703d9000001a1febdf259"),
        OffsetCommitKey(group="old-client", topic="alpha", partition=1),
        OffsetCommitValue(
            offset=11,
            leader_epoch=-1,
            metadata="kept for an hour",
            commit_timestamp_ms=1795271623641,
            expire_timestamp_ms=1795275223641,
            topic_id=None,
        ),
    ),
]
