"""The differences that docs/compatibility.md explains: each entry names the row there."""

from typing import Final

from .explained import Explained

_TEXTS: Final = "texts of errors"
_SENSELESS: Final = "requests that make no sense"
_RECORDS: Final = "records in a batch"
_AGAIN: Final = "a batch that a producer sends again"
_MANY: Final = "errors of single records (KIP-467)"
_CUT: Final = "what ends a fetched partition"
_TWICE: Final = "a partition that a request names twice"
_LARGEST: Final = "the largest timestamp of a partition (ListOffsets -3)"
_EMPTY_ID: Final = "the empty group id"
_NOBODY: Final = "a group that nobody could join"
_EPOCHS: Final = "epochs of consumer groups and share groups"
_JOINS: Final = "a consumer that joins (KIP-848)"
_UNKNOWN: Final = "a heartbeat of a consumer whose group does not exist"
_IDS: Final = "ids of members that the server makes"
_OFFSETS: Final = "members that commit and ask for offsets"
_INTERNAL: Final = "the server's own topics"
_COLLISION: Final = "topics in one request whose names collide (`a.b` and `a_b`)"
_VALUES: Final = "values of settings"
_SYNONYMS: Final = "where a setting's value comes from (synonyms)"
_NO_GROUPS: Final = "settings of streams groups"
_QUORUM: Final = "the metadata quorum (DescribeQuorum)"
_NOT_SERVED: Final = "streams groups, what is among brokers"
_DEFAULTS: Final = "settings"
_NAMES: Final = "names of settings"
_CREATED: Final = "a topic that comes into being by being asked for"
_FEATURES: Final = "features"
_SHARED: Final = "where a share group stands (DescribeShareGroupOffsets)"
_QUOTAS: Final = "client quotas, SCRAM credentials"

_GENERAL: Final = (
    Explained(_TEXTS, "*", "*error_message", kafka="None", ours="'<text>'"),
    Explained(_TEXTS, "*", "*error_message", kafka="''", ours="'<text>'"),
    Explained(_TEXTS, "*", "*error_message", kafka="''", ours="None"),
    Explained(_TEXTS, "FindCoordinator", "error_message", kafka="'<text>'", ours="''"),
    Explained(_TEXTS, "UpdateFeatures", "results/*/error_message", kafka="'<text>'", ours="None"),
    Explained(_SENSELESS, "*", "*", about="versions/a negative array"),
    Explained(_SENSELESS, "*", "*", about="producing/null for records"),
    Explained(_SENSELESS, "*", "*", about="alter-configs/a resource twice"),
    Explained(_SENSELESS, "*", "*", about="security/unknown acls"),
    Explained(_SENSELESS, "*", "*error_code", kafka="'UNKNOWN_SERVER_ERROR'"),
    Explained(_SENSELESS, "Fetch", "*", about="fetching/a negative most*"),
    Explained(_SENSELESS, "Fetch", "*", about="fetching/a level that there is none of"),
    Explained(_NOT_SERVED, "ApiVersions", "api_keys/*", ours="absent"),
    Explained(_NOT_SERVED, "Streams*", "*", about="others/*"),
    Explained(_NOT_SERVED, "*ShareGroupState*", "*", about="others/*"),
    Explained(_FEATURES, "ApiVersions", "*_features/*", ours="absent"),
    Explained(_FEATURES, "UpdateFeatures", "*", about="features/a lower level (v2)"),
    Explained(_CREATED, "Metadata", "topics/metadata-created/*", about="metadata/a topic to create"),
    # Versions that can't say that no topic is to be made.
    Explained(_CREATED, "Metadata", "topics/metadata-no-*", about="metadata/an unknown topic ?"),
    Explained(_CREATED, "Metadata", "topics/metadata-no-*", kafka="absent", about="metadata/all topics of version 1"),
    Explained(_QUORUM, "DescribeQuorum", "nodes/1/listeners/*"),
    Explained(_QUORUM, "DescribeQuorum", "topics/__cluster_metadata/partitions/0/leader_epoch"),
    Explained(_QUORUM, "DescribeQuorum", "topics/__cluster_metadata/partitions/0/high_watermark"),
    Explained(_QUORUM, "DescribeQuorum", "topics/__cluster_metadata/partitions/0/*/log_end_offset"),
)

_DATA: Final = (
    Explained(_RECORDS, "Produce", "*", about="producing*/append time from the client"),
    Explained(_RECORDS, "Produce", "*", about="producing/records that are not compressed as said"),
    Explained(_RECORDS, "Produce", "*", about="producing/a base offset of 7"),
    Explained(_RECORDS, "Produce", "*error_code", about="idempotence/a negative epoch"),
    Explained(_RECORDS, "Fetch", "*/max_timestamp", about="timestamps/unbounded fetched"),
    Explained(_AGAIN, "Produce", "*error_code", "'OUT_OF_ORDER_SEQUENCE_NUMBER'", "'DUPLICATE_SEQUENCE_NUMBER'"),
    Explained(_AGAIN, "Produce", "*/log_append_time_ms", ours="-1", about="idempotence/*again"),
    Explained(_MANY, "Produce", "*/record_errors/*", ours="absent"),
    Explained(_CUT, "Fetch", "*/records/*", ours="absent", about="fetching/*at most*"),
    Explained(_TWICE, "Produce", "*", about="producing/a partition twice"),
    Explained(_TWICE, "ListOffsets", "*", about="offsets/twice"),
    Explained(_LARGEST, "ListOffsets", "*", about="aged-records/the largest timestamp of nothing"),
)

_GROUPS: Final = (
    Explained(_EMPTY_ID, "FindCoordinator", "*", about="metadata/coordinator of nothing"),
    Explained(_EMPTY_ID, "FindCoordinator", "*", about="metadata/coordinators of the empty name"),
    Explained(_EMPTY_ID, "DescribeGroups", "groups/''/*"),
    Explained(_EMPTY_ID, "DeleteGroups", "results/''/*"),
    Explained(_EMPTY_ID, "OffsetCommit", "*", about="group-offsets/commit: the empty group"),
    Explained(_EMPTY_ID, "OffsetFetch", "*", about="group-offsets/fetch: the empty group"),
    Explained(_EMPTY_ID, "ListGroups", "groups/''", ours="absent"),
    Explained(_NOBODY, "ListGroups", "groups/wrong: no protocol*", ours="absent"),
    Explained(_EPOCHS, "ConsumerGroupHeartbeat", "member_epoch"),
    Explained(_EPOCHS, "ConsumerGroupDescribe", "groups/*_epoch"),
    Explained(_EPOCHS, "ShareGroupHeartbeat", "member_epoch"),
    Explained(_EPOCHS, "ShareGroupDescribe", "groups/*_epoch"),
    Explained(_SHARED, "DescribeShareGroupOffsets", "*/start_offset", about="share-offsets/described: has accepted*"),
    Explained(_SHARED, "DescribeShareGroupOffsets", "*/lag", kafka="-990", ours="0"),
    Explained(_SENSELESS, "DescribeShareGroupOffsets", "groups/''/*"),
    Explained(_SENSELESS, "AlterShareGroupOffsets", "*", about="share-offsets/altered: a very negative offset"),
    Explained(
        _SENSELESS, "DescribeShareGroupOffsets", "*", about="share-offsets/described: altered to a negative offset"
    ),
    Explained(_JOINS, "ConsumerGroupHeartbeat", "*", about="consumer-groups/refused: a rebalance timeout of 0"),
    Explained(_JOINS, "ListGroups", "groups/refused: *", ours="absent"),
    Explained(_UNKNOWN, "ConsumerGroupHeartbeat", "error_code", "'GROUP_ID_NOT_FOUND'", "'UNKNOWN_MEMBER_ID'"),
    Explained(_IDS, "JoinGroup", "*", about="classic-groups/join: an empty static member"),
    Explained(_IDS, "JoinGroup", "member_id", about="consumer-groups/a classic member asks for an id"),
    Explained(
        "members of a classic group that rebalances, described",
        "DescribeGroups",
        "*/member_assignment",
        ours="''",
        about="classic-groups/while it rebalances",
    ),
    Explained(_OFFSETS, "OffsetCommit", "*error_code", kafka="'UNSUPPORTED_VERSION'", ours="'NONE'"),
    Explained(_OFFSETS, "OffsetCommit", "*error_code", about="group-offsets/commit: a negative offset*"),
    Explained(_OFFSETS, "OffsetFetch", "*", about="group-offsets/fetch: a member of no members"),
)

_ADMIN: Final = (
    Explained(_INTERNAL, "ListConfigResources", "*/2 __transaction_state", ours="absent"),
    Explained(_INTERNAL, "Metadata", "topics/__transaction_state", ours="absent"),
    Explained(_INTERNAL, "CreatePartitions", "results/__consumer_offsets/*"),
    Explained(_INTERNAL, "IncrementalAlterConfigs", "responses/*__consumer_offsets/*"),
    Explained(_COLLISION, "CreateTopics", "*", about="create-topics/two that collide"),
    Explained(_VALUES, "CreateTopics", "*", about="topic-settings/segment.bytes=1*"),
    Explained(_VALUES, "CreateTopics", "*", about="topic-settings/retention.bytes=-2"),
    Explained(_VALUES, "CreateTopics", "*", about="topic-settings/preallocate=true"),
    Explained(_VALUES, "IncrementalAlterConfigs", "*", about="*('preallocate', 0, 'true')*"),
    Explained(_NAMES, "CreateTopics", "*", about="topic-settings/min.insync.replicas=2"),
    Explained(_NAMES, "IncrementalAlterConfigs", "*", about="*('min.insync.replicas', 0, '2')*"),
    Explained(_NAMES, "IncrementalAlterConfigs", "*", about="*('nonsense', 0, '3')*"),
    Explained(
        "settings of a group", "IncrementalAlterConfigs", "*", about="*('consumer.heartbeat.interval.ms', 0, '1')*"
    ),
    Explained(_DEFAULTS, "CreateTopics", "*/configs/flush.messages/value"),
    Explained(_DEFAULTS, "DescribeConfigs", "*/flush.messages/*value"),
    Explained(_DEFAULTS, "DescribeConfigs", "*/consumer.assignment.interval.ms/*value"),
    Explained(_DEFAULTS, "DescribeConfigs", "*/share.assignment.interval.ms/*value"),
    Explained(_SYNONYMS, "DescribeConfigs", "*/synonyms*"),
    Explained(_SYNONYMS, "*", "*/min.insync.replicas/config_source"),
    Explained(_SYNONYMS, "DescribeConfigs", "*/min.insync.replicas", ours="absent"),
    Explained(_SYNONYMS, "DescribeConfigs", "*/node.id/config_source"),
    Explained(_SYNONYMS, "DescribeConfigs", "*__consumer_offsets/configs/compression.type/config_source"),
    Explained(_NO_GROUPS, "DescribeConfigs", "*/configs/streams.*", ours="absent"),
    Explained(_QUOTAS, "AlterClientQuotas", "*error_code", ours="'UNSUPPORTED_VERSION'"),
    Explained(_QUOTAS, "AlterUserScramCredentials", "*error_code", ours="'UNSUPPORTED_SASL_MECHANISM'"),
)

KNOWN: Final[tuple[Explained, ...]] = (*_GENERAL, *_DATA, *_GROUPS, *_ADMIN)
