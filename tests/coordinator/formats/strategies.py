"""Hypothesis strategies for every key and value of `__consumer_offsets`, and for their bytes."""

from base64 import urlsafe_b64encode
from typing import TypeVar

from hypothesis import strategies as st

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
    Key,
    MemberState,
    OffsetCommitKey,
    OffsetCommitValue,
    OwnedTopicPartitions,
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
    Value,
)

T = TypeVar("T")

int32s = st.sampled_from([-(2**31), -1, 0, 1, 2**31 - 1]) | st.integers(-(2**31), 2**31 - 1)
int64s = st.sampled_from([-(2**63), -1, 0, 1, 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1)
# Around the places where a length takes one byte more, and the longest.
texts = st.text(max_size=12) | st.sampled_from(
    ["", "x" * 126, "x" * 127, "é" * 63, "x" * 128, "x" * 16383, "x" * 32767]
)
optional_texts = st.none() | texts
blobs = st.binary(max_size=20) | st.sampled_from([bytes(126), bytes(127), bytes(16383), bytes(40_000)])
topic_ids = st.binary(min_size=16, max_size=16).map(lambda data: urlsafe_b64encode(data)[:22].decode())
partition_lists = st.lists(int32s, max_size=5).map(tuple) | st.just(tuple(range(130)))


def tuples(elements: st.SearchStrategy[T], size: int = 4) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(elements, max_size=size).map(tuple)


@st.composite
def owned(draw: st.DrawFn) -> OwnedTopicPartitions:
    partitions = draw(partition_lists)
    epochs = draw(st.none() | st.lists(int32s, min_size=len(partitions), max_size=len(partitions)).map(tuple))
    return OwnedTopicPartitions(draw(topic_ids), partitions, epochs or None)


@st.composite
def commits(draw: st.DrawFn) -> OffsetCommitValue:
    offset, metadata, commit_ms = draw(int64s), draw(texts), draw(int64s)
    if draw(st.booleans()):
        # Version 1 has neither leader epoch nor topic id.
        return OffsetCommitValue(offset, -1, metadata, commit_ms, draw(int64s.filter(lambda ms: ms != -1)))
    topic_id = draw(st.none() | topic_ids.filter(lambda text: text != "A" * 22))
    return OffsetCommitValue(offset, draw(int32s), metadata, commit_ms, -1, topic_id)


classic_members = st.builds(ClassicMember, texts, optional_texts, texts, texts, int32s, int32s, blobs, blobs)
classic_metadata = st.builds(ClassicMemberMetadata, int32s, tuples(st.builds(ClassicProtocol, texts, blobs)))
assignments = tuples(st.builds(TopicPartitions, topic_ids, partition_lists))
share_topics = tuples(st.builds(ShareTopicPartitions, topic_ids, texts, partition_lists))

records: dict[str, st.SearchStrategy[tuple[Key, Value]]] = {
    "offset commit": st.tuples(st.builds(OffsetCommitKey, texts, texts, int32s), commits()),
    "classic group": st.tuples(
        st.builds(GroupMetadataKey, texts),
        st.builds(GroupMetadataValue, texts, int32s, optional_texts, optional_texts, int64s, tuples(classic_members)),
    ),
    "consumer group": st.tuples(
        st.builds(ConsumerGroupMetadataKey, texts), st.builds(ConsumerGroupMetadataValue, int32s, int64s)
    ),
    "member": st.tuples(
        st.builds(ConsumerGroupMemberMetadataKey, texts, texts),
        st.builds(
            ConsumerGroupMemberMetadataValue,
            optional_texts,
            optional_texts,
            texts,
            texts,
            tuples(texts),
            optional_texts,
            int32s,
            optional_texts,
            st.none() | classic_metadata,
        ),
    ),
    "assignment epoch": st.tuples(
        st.builds(ConsumerGroupTargetAssignmentMetadataKey, texts),
        st.builds(ConsumerGroupTargetAssignmentMetadataValue, int32s, int64s),
    ),
    "target assignment": st.tuples(
        st.builds(ConsumerGroupTargetAssignmentMemberKey, texts, texts),
        st.builds(ConsumerGroupTargetAssignmentMemberValue, assignments),
    ),
    "current assignment": st.tuples(
        st.builds(ConsumerGroupCurrentMemberAssignmentKey, texts, texts),
        st.builds(
            ConsumerGroupCurrentMemberAssignmentValue,
            int32s,
            int32s,
            st.sampled_from(MemberState),
            tuples(owned()),
            tuples(owned()),
        ),
    ),
    "regular expression": st.tuples(
        st.builds(ConsumerGroupRegularExpressionKey, texts, texts),
        st.builds(ConsumerGroupRegularExpressionValue, tuples(texts), int64s, int64s),
    ),
    "share group's member": st.tuples(
        st.builds(ShareGroupMemberMetadataKey, texts, texts),
        st.builds(ShareGroupMemberMetadataValue, optional_texts, texts, texts, tuples(texts)),
    ),
    "share group": st.tuples(
        st.builds(ShareGroupMetadataKey, texts), st.builds(ShareGroupMetadataValue, int32s, int64s)
    ),
    "share group's assignment epoch": st.tuples(
        st.builds(ShareGroupTargetAssignmentMetadataKey, texts),
        st.builds(ShareGroupTargetAssignmentMetadataValue, int32s, int64s),
    ),
    "share group's target assignment": st.tuples(
        st.builds(ShareGroupTargetAssignmentMemberKey, texts, texts),
        st.builds(ShareGroupTargetAssignmentMemberValue, assignments),
    ),
    "share group's current assignment": st.tuples(
        st.builds(ShareGroupCurrentMemberAssignmentKey, texts, texts),
        st.builds(ShareGroupCurrentMemberAssignmentValue, int32s, int32s, st.integers(-128, 127), assignments),
    ),
    "share group's partitions": st.tuples(
        st.builds(ShareGroupStatePartitionMetadataKey, texts),
        st.builds(
            ShareGroupStatePartitionMetadataValue,
            share_topics,
            share_topics,
            tuples(st.builds(ShareTopic, topic_ids, texts)),
        ),
    ),
}
"""Of every type that is written: its key with a value."""

keys = st.one_of([record.map(lambda both: both[0]) for record in records.values()]) | st.builds(
    ConsumerGroupPartitionMetadataKey, texts
)
