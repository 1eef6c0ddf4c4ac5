"""One plain request of every API in every version, so that each field is seen in each of them."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..batches import batch
from ..keys import Key
from ..messages import versions
from ..session import Session

_TOPIC: Final = "every-version"
_GROUP: Final = "every-version-group"
_PARTITIONS: Final = [0, 1]
_TIMEOUT: Final = {"timeout_ms": 20_000}
_SUBSCRIPTION: Final = bytes.fromhex("0000 0000 0001 000d") + _TOPIC.encode() + bytes.fromhex("ffff ffff")


def every_version(s: Session) -> None:
    """Asks."""
    topic_id = s.topic(_TOPIC, 2)
    for name in ("every-version-delete-" + str(version) for version in versions(Key.DELETE_TOPICS)):
        s.topic(name)
    for label, kind in (("a coordinator", 0), ("a coordinator of transactions", 1)):
        s.settle(label, Key.FIND_COORDINATOR, 4, {"coordinator_keys": [_GROUP], "key_type": kind}, _is_found)
    transaction = {"transactional_ids": ["nobody"]}
    s.settle("transactions are loaded", Key.DESCRIBE_TRANSACTIONS, 0, transaction, _is_known)
    none = {"transactional_id": None, "transaction_timeout_ms": 60_000}
    s.settle("ids can be had", Key.INIT_PRODUCER_ID, 4, none, lambda answer: bool(answer["error_code"] == "NONE"))
    for key, message in _requests(s, topic_id).items():
        for version in versions(key):
            s.ask(f"{key.name} {version}", key, version, message(version))


def _is_found(answer: Mapping[str, Any]) -> bool:
    return bool(answer["coordinators"][0]["error_code"] == "NONE")


def _is_known(answer: Mapping[str, Any]) -> bool:
    code = answer["transaction_states"][0]["error_code"]
    return code not in ("NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS")


def _requests(s: Session, topic_id: str) -> dict[Key, Callable[[int], dict[str, Any]]]:
    both = {"name": _TOPIC, "topic": _TOPIC, "topic_id": topic_id}

    def only(*names: str, **more: Any) -> dict[str, Any]:
        return {name: both[name] for name in names} | more

    def produce(version: int) -> dict[str, Any]:
        records = [
            {"index": index, "records": batch("a", "b", at_ms=s.base_ms + version * 10)} for index in _PARTITIONS
        ]
        return {"acks": -1, "topic_data": [only("name", "topic_id", partition_data=records)], **_TIMEOUT}

    def fetch(version: int) -> dict[str, Any]:
        asked = [{"partition": index, "fetch_offset": 2, "partition_max_bytes": 100_000} for index in _PARTITIONS]
        topics = [only("topic", "topic_id", partitions=asked)]
        return {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 1_000_000, "topics": topics, "session_epoch": -1}

    def list_offsets(version: int) -> dict[str, Any]:
        partitions = [{"partition_index": 0, "timestamp": -1}, {"partition_index": 1, "timestamp": -2}]
        return {"replica_id": -1, "topics": [only("name", partitions=partitions)]}

    def commit(version: int) -> dict[str, Any]:
        partitions = [{"partition_index": 0, "committed_offset": version, "committed_metadata": "m"}]
        topics = [only("name", "topic_id", partitions=partitions)]
        return {"group_id": _GROUP, "generation_id_or_member_epoch": -1, "topics": topics}

    def fetch_offsets(version: int) -> dict[str, Any]:
        topics = [only("name", "topic_id", partition_indexes=[0, 1])]
        groups = [{"group_id": _GROUP, "topics": topics}]
        return {"group_id": _GROUP, "topics": [only("name", partition_indexes=[0, 1])], "groups": groups}

    def join(version: int) -> dict[str, Any]:
        protocols = [{"name": "range", "metadata": _SUBSCRIPTION}]
        times = {"session_timeout_ms": 300_000, "rebalance_timeout_ms": 300_000}
        return {"group_id": f"joined-{version}", "protocol_type": "consumer", "protocols": protocols, **times}

    def create(version: int) -> dict[str, Any]:
        topic = {"name": f"every-version-{version}", "num_partitions": 2, "replication_factor": 1}
        return {"topics": [topic], **_TIMEOUT}

    def delete(version: int) -> dict[str, Any]:
        name = f"every-version-delete-{version}"
        return {"topic_names": [name], "topics": [{"name": name}], **_TIMEOUT}

    def describe_configs(version: int) -> dict[str, Any]:
        wanted = [
            "retention.ms",
            "cleanup.policy",
            "max.message.bytes",
            "min.cleanable.dirty.ratio",
            "compression.type",
        ]
        resource = {"resource_type": 2, "resource_name": _TOPIC, "configuration_keys": wanted}
        return {"resources": [resource], "include_synonyms": True, "include_documentation": True}

    def alter_configs(version: int) -> dict[str, Any]:
        config = {"name": "retention.ms", "value": str(version + 10_000_000_000)}
        return {"resources": [{"resource_type": 2, "resource_name": _TOPIC, "configs": [config]}]}

    def heartbeat(version: int) -> dict[str, Any]:
        member = {"member_id": "AAAAAAAAAAAAAAAAAAAAZw", "member_epoch": 0, "rebalance_timeout_ms": 10_000}
        return {"group_id": f"new-{version}", "subscribed_topic_names": [_TOPIC], "topic_partitions": [], **member}

    def leave(version: int) -> dict[str, Any]:
        return {"group_id": _GROUP, "member_id": "nobody", "members": [{"member_id": "nobody"}]}

    component = {"entity_type": "user", "match_type": 2}
    acl = {"resource_type_filter": 1, "pattern_type_filter": 1, "operation": 1, "permission_type": 1}
    indexes = [only("name", partition_indexes=[0, 1])]
    return {
        Key.PRODUCE: produce,
        Key.FETCH: fetch,
        Key.LIST_OFFSETS: list_offsets,
        Key.METADATA: lambda version: {"topics": [only("name")]},
        Key.OFFSET_COMMIT: commit,
        Key.OFFSET_FETCH: fetch_offsets,
        Key.FIND_COORDINATOR: lambda version: {"key": _GROUP, "coordinator_keys": [_GROUP, "another"]},
        Key.JOIN_GROUP: join,
        Key.HEARTBEAT: lambda version: {"group_id": _GROUP, "member_id": "nobody", "generation_id": 1},
        Key.SYNC_GROUP: lambda version: {"group_id": _GROUP, "member_id": "nobody", "generation_id": 1},
        Key.LEAVE_GROUP: leave,
        Key.DESCRIBE_GROUPS: lambda version: {"groups": [_GROUP, "no-group"], "include_authorized_operations": True},
        Key.LIST_GROUPS: lambda version: {},
        Key.SASL_HANDSHAKE: lambda version: {"mechanism": "PLAIN"},
        Key.CREATE_TOPICS: create,
        Key.DELETE_TOPICS: delete,
        Key.DELETE_RECORDS: lambda version: {
            "topics": [only("name", partitions=[{"partition_index": 0, "offset": version + 1}])],
            **_TIMEOUT,
        },
        Key.INIT_PRODUCER_ID: lambda version: {"transactional_id": None, "transaction_timeout_ms": 60_000},
        Key.OFFSET_FOR_LEADER_EPOCH: lambda version: {
            "replica_id": -1,
            "topics": [only("topic", partitions=[{"partition": 0, "leader_epoch": 0, "current_leader_epoch": -1}])],
        },
        Key.DESCRIBE_ACLS: lambda version: acl,
        Key.CREATE_ACLS: lambda version: {"creations": []},
        Key.DELETE_ACLS: lambda version: {"filters": [acl]},
        Key.DESCRIBE_CONFIGS: describe_configs,
        Key.ALTER_CONFIGS: alter_configs,
        Key.ALTER_REPLICA_LOG_DIRS: lambda version: {
            "dirs": [{"path": "/nowhere", "topics": [only("name", partitions=[0])]}]
        },
        Key.DESCRIBE_LOG_DIRS: lambda version: {"topics": [only("topic", partitions=[0, 1])]},
        Key.CREATE_PARTITIONS: lambda version: {"topics": [only("name", count=3 + version)], **_TIMEOUT},
        Key.CREATE_DELEGATION_TOKEN: lambda version: {"renewers": [], "max_lifetime_ms": 1000},
        Key.RENEW_DELEGATION_TOKEN: lambda version: {"hmac": b"x", "renew_period_ms": 1},
        Key.EXPIRE_DELEGATION_TOKEN: lambda version: {"hmac": b"x", "expiry_time_period_ms": 1},
        Key.DESCRIBE_DELEGATION_TOKEN: lambda version: {"owners": None},
        Key.DELETE_GROUPS: lambda version: {"groups_names": ["no-group"]},
        Key.ELECT_LEADERS: lambda version: {
            "election_type": 0,
            "topic_partitions": [only("topic", partitions=[0])],
            **_TIMEOUT,
        },
        Key.INCREMENTAL_ALTER_CONFIGS: lambda version: {
            "resources": [
                {
                    "resource_type": 2,
                    "resource_name": _TOPIC,
                    "configs": [{"name": "segment.ms", "config_operation": 0, "value": str(10**9 + version)}],
                }
            ]
        },
        Key.ALTER_PARTITION_REASSIGNMENTS: lambda version: {
            "topics": [only("name", partitions=[{"partition_index": 0, "replicas": [1]}])],
            **_TIMEOUT,
        },
        Key.LIST_PARTITION_REASSIGNMENTS: lambda version: {"topics": None, **_TIMEOUT},
        Key.OFFSET_DELETE: lambda version: {
            "group_id": _GROUP,
            "topics": [only("name", partitions=[{"partition_index": 1}])],
        },
        Key.DESCRIBE_CLIENT_QUOTAS: lambda version: {"components": [component], "strict": False},
        Key.ALTER_CLIENT_QUOTAS: lambda version: {"entries": [], "validate_only": True},
        Key.DESCRIBE_USER_SCRAM_CREDENTIALS: lambda version: {"users": None},
        Key.ALTER_USER_SCRAM_CREDENTIALS: lambda version: {},
        Key.DESCRIBE_QUORUM: lambda version: {
            "topics": [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}]
        },
        Key.UPDATE_FEATURES: lambda version: {"feature_updates": [], **_TIMEOUT},
        Key.DESCRIBE_CLUSTER: lambda version: {"include_cluster_authorized_operations": True},
        Key.DESCRIBE_PRODUCERS: lambda version: {"topics": indexes},
        Key.UNREGISTER_BROKER: lambda version: {"broker_id": 77},
        Key.DESCRIBE_TRANSACTIONS: lambda version: {"transactional_ids": ["nobody"]},
        Key.LIST_TRANSACTIONS: lambda version: {},
        Key.CONSUMER_GROUP_HEARTBEAT: heartbeat,
        Key.CONSUMER_GROUP_DESCRIBE: lambda version: {
            "group_ids": [f"new-{version}", "no-group"],
            "include_authorized_operations": True,
        },
        Key.GET_TELEMETRY_SUBSCRIPTIONS: lambda version: {},
        Key.PUSH_TELEMETRY: lambda version: {},
        Key.LIST_CONFIG_RESOURCES: lambda version: {},
        Key.DESCRIBE_TOPIC_PARTITIONS: lambda version: {"topics": [only("name")]},
        Key.SHARE_GROUP_HEARTBEAT: lambda version: {
            "group_id": "new-share",
            "member_id": "AAAAAAAAAAAAAAAAAAAAZw",
            "member_epoch": 0,
            "subscribed_topic_names": ["no-topic"],
        },
        Key.SHARE_GROUP_DESCRIBE: lambda version: {"group_ids": ["new-share", "no-group"]},
    }
