"""Records of share groups: from the log of a broker of Apache Kafka 4.3.1, and from its message classes.

The broker's are of one node whose client, the share consumer of the same release, did what each line says; the others
were made by `MessageUtil.toVersionPrefixedBytes` of the classes in `kafka-group-coordinator`.
"""

from typing import Final

from logserver.coordinator.formats import (
    ShareGroupCurrentMemberAssignmentKey,
    ShareGroupCurrentMemberAssignmentValue,
    ShareGroupMemberMetadataKey,
    ShareGroupMemberMetadataValue,
    ShareGroupMetadataKey,
    ShareGroupMetadataValue,
    ShareGroupStatePartitionMetadataKey,
    ShareGroupStatePartitionMetadataValue,
    ShareGroupTargetAssignmentMemberKey,
    ShareGroupTargetAssignmentMemberValue,
    ShareGroupTargetAssignmentMetadataKey,
    ShareGroupTargetAssignmentMetadataValue,
    ShareTopic,
    ShareTopicPartitions,
    TopicPartitions,
)

from .vectors import Vector

h = bytes.fromhex

ORDERS: Final = "5NGUByt-SaWyIUc9_HKpuQ"
OTHER: Final = "AAAAAAAAAAAAAAAAAAAAAQ"

VECTORS: Final = [
    Vector(
        "broker: a member joins a share group",
        h("000a000b73686172652d67726f75700016355955434e2d48415371695a49457832786c48546477"),
        h("00000017636f6e73756d65722d73686172652d67726f75702d330b2f3132372e302e302e310206616c70686100"),
        ShareGroupMemberMetadataKey(group="share-group", member_id="5YUCN-HASqiZIEx2xlHTdw"),
        ShareGroupMemberMetadataValue(
            rack_id=None,
            client_id="consumer-share-group-3",
            client_host="/127.0.0.1",
            subscribed_topic_names=("alpha",),
        ),
    ),
    Vector(
        "broker: the share group's epoch",
        h("000b000b73686172652d67726f7570"),
        h("0000000000025f1f0a793936c90600"),
        ShareGroupMetadataKey(group="share-group"),
        ShareGroupMetadataValue(epoch=2, metadata_hash=6854208673648396550),
    ),
    Vector(
        "broker: the share group's assignment epoch",
        h("000c000b73686172652d67726f7570"),
        h("000000000002010008000001a1fe86fbbf"),
        ShareGroupTargetAssignmentMetadataKey(group="share-group"),
        ShareGroupTargetAssignmentMetadataValue(assignment_epoch=2, assignment_timestamp_ms=1795271621567),
    ),
    Vector(
        "broker: the member leaves: tombstone of its current assignment",
        h("000e000b73686172652d67726f75700016355955434e2d48415371695a49457832786c48546477"),
        None,
        ShareGroupCurrentMemberAssignmentKey(group="share-group", member_id="5YUCN-HASqiZIEx2xlHTdw"),
        None,
    ),
    Vector(
        "class: a share group's member with a rack and a topic that is not ASCII",
        h("000a00016700016d"),
        h("0000077261636b2d3107636c69656e740a2f31302e302e302e3103026103c3a900"),
        ShareGroupMemberMetadataKey(group="g", member_id="m"),
        ShareGroupMemberMetadataValue("rack-1", "client", "/10.0.0.1", ("a", "é")),
    ),
    Vector(
        "class: a share group's assignment epoch without time, as before 4.3",
        h("000c000167"),
        h("00000000000c00"),
        ShareGroupTargetAssignmentMetadataKey(group="g"),
        ShareGroupTargetAssignmentMetadataValue(assignment_epoch=12),
    ),
    Vector(
        "class: the target assignment of a share group's member",
        h("000d00016700016d"),
        h("000003e4d194072b7e49a5b221473dfc72a9b90300000000000000070000000000000000000000000000000001010000"),
        ShareGroupTargetAssignmentMemberKey(group="g", member_id="m"),
        ShareGroupTargetAssignmentMemberValue((TopicPartitions(ORDERS, (0, 7)), TopicPartitions(OTHER, ()))),
    ),
    Vector(
        "class: the current assignment of a share group's member",
        h("000e00016700016d"),
        h("000000000005000000040002e4d194072b7e49a5b221473dfc72a9b90300000002000000010000"),
        ShareGroupCurrentMemberAssignmentKey(group="g", member_id="m"),
        ShareGroupCurrentMemberAssignmentValue(5, 4, 0, (TopicPartitions(ORDERS, (2, 1)),)),
    ),
    Vector(
        "class: partitions whose state is being made, is there, is taken back",
        h("000f000167"),
        h(
            "000002e4d194072b7e49a5b221473dfc72a9b9076f72646572730400000000000000010000000200"
            "020000000000000000000000000000000102 6202 0000012c 00"
            "020000000000000000000000000000000105676f6e650000"
        ),
        ShareGroupStatePartitionMetadataKey(group="g"),
        ShareGroupStatePartitionMetadataValue(
            (ShareTopicPartitions(ORDERS, "orders", (0, 1, 2)),),
            (ShareTopicPartitions(OTHER, "b", (300,)),),
            (ShareTopic(OTHER, "gone"),),
        ),
    ),
]
