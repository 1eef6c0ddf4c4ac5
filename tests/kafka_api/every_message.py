"""Requests of every API at every version, made from the schemas: sensible ones, and arbitrary ones.

The same for the same arguments, in every run.
"""

import random
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from logserver.kafka_api.codec.schema import FieldSchema, StructSchema, message_schema
from logserver.kafka_api.registry import APIS
from logserver.testing import LogServer

from .groups import commit, stable
from .raw_client import RawClient
from .records import batch, create_topic, stored

KINDS: Final = ("sensible", "empty", "arbitrary", "arbitrary again", "longest text")

_BOUNDS: Final = {"int8": 7, "int16": 15, "uint16": 16, "int32": 31, "int64": 63}
_TEXTS: Final = ("", "t", "g", "nobody", "*", "a b", "ä", "😀", "..", "__consumer_offsets", "\x00", "%s{0}", "a" * 300)
_LONGEST: Final = 32_767
_JOIN_GROUP: Final = 11
_CREATE_TOPICS: Final = 19
_DELETE_TOPICS: Final = 20
_CREATE_PARTITIONS: Final = 37
_TRANSACTIONS: Final = range(24, 29)


def api_versions() -> list[Any]:
    """Returns (key, version) of everything that is served, as parameters of a test."""
    return [
        pytest.param(api.key, version, id=f"{api.name}-{version}")
        for api in APIS.values()
        for version in range(api.lowest, api.highest + 1)
    ]


class World:
    """What sensible requests are about: a topic with records, a group with offsets, one with a member."""

    def __init__(self, server: LogServer) -> None:
        self.server = server
        self.records = batch("a", "b", "c")
        self.made = 0
        self.topic_id = ""
        self.data_dir = server.data_dir
        self.node_id: int = server.call(_node_id)
        with RawClient(server.kafka) as client:
            self.ensure(client)
            self.member = stable(client, group_id="members", session_timeout_ms=1_800_000)

    def ensure(self, client: RawClient | None = None) -> None:
        """Makes again what is gone."""
        if client is None:
            with RawClient(self.server.kafka) as client:
                self.ensure(client)
            return
        names = self.server.call(_topics)
        if "t" not in names:
            self.topic_id = create_topic(self.server, "t", 2)
            stored(client, self.records)
        commit(client, {("t", 0): 1})

    def fresh(self, prefix: str) -> str:
        """Returns a name that was not used before."""
        self.made += 1
        return f"{prefix}-{self.made}"

    def doomed(self) -> tuple[str, str]:
        """Returns name and id of a new topic that may go."""
        name = self.fresh("doomed")
        return name, create_topic(self.server, name)

    def message(self, api_key: int, version: int, kind: str) -> dict[str, Any]:
        """Returns a request of one of `KINDS`."""
        return _Maker(self, api_key, version, kind).message()

    def element(self, api_key: int, version: int, field: FieldSchema) -> Any:
        """Returns a sensible element of a list of a request."""
        return _Maker(self, api_key, version, "sensible").element(field)


async def _topics(daemon: Any) -> set[str]:
    return {topic.name for topic in daemon.broker.topics()}


async def _node_id(daemon: Any) -> int:
    node_id: int = daemon.broker.node.node_id
    return node_id


class _Maker:
    """Makes one request."""

    def __init__(self, world: World, api_key: int, version: int, kind: str) -> None:
        self._world = world
        self._api_key = api_key
        self._version = version
        self._kind = kind
        self._random = random.Random(f"{api_key} {version} {kind}")
        has_own = api_key in (_DELETE_TOPICS, _CREATE_PARTITIONS) and kind == "sensible"
        self._doomed = world.doomed() if has_own else ("", "")
        self._sensible = self._values()

    def message(self) -> dict[str, Any]:
        return self._struct(message_schema(self._api_key, self._version, "request"), "")

    def element(self, field: FieldSchema) -> Any:
        return self._one(field)

    def _struct(self, schema: StructSchema, parent: str) -> dict[str, Any]:
        return {field.name: self._value(field, parent) for field in schema.fields}

    def _value(self, field: FieldSchema, parent: str) -> Any:
        always = self._always(field)
        if always is not None:
            return always
        if self._kind == "sensible":
            for name in (f"{parent}.{field.name}", field.name):
                if name in self._sensible:
                    return self._sensible[name]
            if field.name == "partitions":
                return [0] if field.struct is None else [_PARTITION]
        if field.is_nullable and (self._kind == "empty" or (self._is_arbitrary and self._random.random() < 0.2)):
            return None
        if not field.is_array:
            return self._one(field)
        count = 0 if self._kind == "empty" else self._random.randrange(4) if self._is_arbitrary else 1
        return [self._one(field) for _ in range(count)]

    @property
    def _is_arbitrary(self) -> bool:
        return self._kind.startswith("arbitrary")

    def _always(self, field: FieldSchema) -> Any:
        """Returns a value without which a request would wait for others."""
        if field.name == "max_wait_ms":
            return 1
        if field.name == "acks":
            return -1
        if self._api_key == _JOIN_GROUP and field.name == "group_id" and self._kind != "longest text":
            return self._world.fresh("join")
        return None

    def _one(self, field: FieldSchema) -> Any:
        rng = self._random
        if field.struct is not None:
            return self._struct(field.struct, field.name)
        match field.kind:
            case "bool":
                return self._is_arbitrary and rng.random() < 0.5
            case "float64":
                return rng.choice((0.0, -1.5, 1e300, float("inf"))) if self._is_arbitrary else 0.0
            case "uuid":
                return rng.choice((self._world.topic_id, "A" * 22, "B" * 21 + "A")) if self._is_arbitrary else "A" * 22
            case "bytes":
                return rng.randbytes(rng.choice((0, 1, 60, 61, 200))) if self._is_arbitrary else b""
            case "string":
                if self._kind == "longest text":
                    return "x" * _LONGEST
                return rng.choice(_TEXTS) if self._is_arbitrary else ""
        return self._integer(field.kind)

    def _integer(self, kind: str) -> int:
        if not self._is_arbitrary:
            return 0
        bits = _BOUNDS[kind]
        lowest = 0 if kind == "uint16" else -(1 << bits)
        highest = (1 << bits) - 1
        choices = (-1, 0, 1, 2, 3, lowest, highest, self._random.randint(lowest, highest))
        return max(self._random.choice(choices), lowest)

    def _values(self) -> Mapping[str, Any]:
        """Returns fields that make sense, some by what they are in."""
        world = self._world
        topic, topic_id = self._doomed if self._doomed[0] else ("t", world.topic_id)
        if self._api_key == _CREATE_TOPICS:
            topic = world.fresh("new")
        if self._api_key == 3:
            topic_id = "A" * 22
        return {
            "topics.name": None if self._api_key == _DELETE_TOPICS else topic,
            "topics.topic": topic,
            "topic_data.name": topic,
            "topics.topic_name": "__cluster_metadata",
            "topic_partitions.topic": topic,
            "topic_names": [topic],
            "topic_name": topic,
            "topic_id": topic_id,
            "cursor": None,
            "response_partition_limit": 10,
            # Of data
            "acks": -1,
            "timeout_ms": 10_000,
            "transactional_id": "x" if self._api_key in _TRANSACTIONS else None,
            "transactional_ids": ["x"],
            "records": world.records,
            "replica_id": -1,
            "replica_state": {"replica_id": -1, "replica_epoch": -1},
            "max_bytes": 1 << 20,
            "min_bytes": 0,
            "partition_max_bytes": 1 << 20,
            "session_epoch": -1,
            "current_leader_epoch": -1,
            "last_fetched_epoch": -1,
            "log_start_offset": -1,
            "forgotten_topics_data": [],
            "cluster_id": None,
            "timestamp": self._random.choice((-1, -2, 0)),
            "producer_id": -1,
            "producer_epoch": -1,
            "transaction_timeout_ms": 60_000,
            # Of groups
            "group_id": {12: "members", 13: "members", 14: "members", 76: "sharing"}.get(self._api_key, "g"),
            "groups_names": [world.fresh("gone")],
            "group_ids": ["g", "members"],
            "groups": ["g", "members"] if self._api_key == 15 else [self._offsets_of_a_group(topic, topic_id)],
            "coordinator_keys": ["g", "members"],
            "key": "g",
            "member_id": self._member_id(),
            "generation_id": world.member.generation_id,
            "generation_id_or_member_epoch": -1,
            "group_instance_id": None,
            "instance_id": None,
            "rack_id": "" if self._api_key == 1 else None,
            "member_epoch": 0,
            "session_timeout_ms": 30_000,
            "rebalance_timeout_ms": 30_000,
            "protocol_type": "consumer",
            "protocol_name": "range",
            "protocols": [{"name": "range", "metadata": b"m"}],
            "assignments": self._assignments(),
            "retention_time_ms": -1,
            "committed_offset": 1,
            "committed_leader_epoch": -1,
            "committed_metadata": "m",
            "subscribed_topic_names": [topic],
            "subscribed_topic_regex": None,
            "topic_partitions": [] if self._api_key == 68 else [{"topic": topic, "partitions": [0]}],
            "server_assignor": None,
            # Of administration
            "num_partitions": 1,
            "replication_factor": 1,
            "count": 3,
            "resource_type": 2,
            "resource_name": topic,
            "configs.name": "retention.ms",
            "configs.value": "100000",
            "configuration_keys": None,
            "resource_types": [],
            "path": world.data_dir,
            "partition_indexes": [0],
            "replicas": None,
            "endpoint_type": 1,
            "components": [],
            "entries": [{"entity": [{"entity_type": "user", "entity_name": "a"}], "ops": []}],
            "feature_updates": [
                {"feature": "group.version", "max_version_level": 1, "allow_downgrade": False, "upgrade_type": 1}
            ],
            "users": None,
            "client_software_name": "tests",
            "client_software_version": "1",
        }

    def _assignments(self) -> list[dict[str, Any]]:
        match self._api_key:
            case 14:
                return [{"member_id": self._world.member.member_id, "assignment": b"a"}]
            case 37:
                return [{"broker_ids": [self._world.node_id]}] * 2
        return []

    def _member_id(self) -> str:
        match self._api_key:
            case 12 | 14:
                member_id: str = self._world.member.member_id
                return member_id
            case 68 | 76 if self._version > 0:
                return self._world.fresh("member")
        return ""

    def _offsets_of_a_group(self, topic: str, topic_id: str) -> dict[str, Any]:
        topics = [{"name": topic, "topic_id": topic_id, "partition_indexes": [0]}]
        return {"group_id": "g", "member_id": None, "member_epoch": -1, "topics": topics}


_PARTITION: Final = {
    "partition": 0,
    "partition_index": 0,
    "fetch_offset": 0,
    "partition_max_bytes": 1 << 20,
    "current_leader_epoch": -1,
    "last_fetched_epoch": -1,
    "log_start_offset": -1,
    "timestamp": -1,
    "leader_epoch": 0,
    "offset": 0,
    "committed_offset": 1,
    "committed_leader_epoch": -1,
    "committed_metadata": "m",
    "replicas": None,
}


def every(world: World, api_key: int, version: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Returns a request of each kind."""
    for kind in KINDS:
        yield kind, world.message(api_key, version, kind)
