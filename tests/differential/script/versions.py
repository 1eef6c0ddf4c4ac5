"""Which versions of which APIs there are, and what becomes of requests of others."""

from ..keys import Key
from ..session import Session


def versions(s: Session) -> None:
    """ApiVersions, and versions that nobody has (KIP-511)."""
    for version in range(5):
        message = {"client_software_name": "differential", "client_software_version": "1.0"}
        s.ask(f"api versions {version}", Key.API_VERSIONS, version, message)
    bad = {"": "1", "a b": "1", "-a": "1", "a": "", "a.b-c": "1.2-x", "ä": "1"}
    for name, software_version in bad.items():
        message = {"client_software_name": name, "client_software_version": software_version}
        s.ask(f"software {name!r} {software_version!r}", Key.API_VERSIONS, 4, message)
    # Answered in version 0, whatever the header and the message look like.
    for version in (5, 99, 32_767, -1):
        s.note(f"api versions {version}", Key.API_VERSIONS, 0, _asked_as(s, version))
    s.ask("an api afterwards", Key.METADATA, 0, {"topics": []})
    s.ask_body("a truncated request", Key.CREATE_TOPICS, 7, b"\0\x05\x09abc")
    s.ask_body("an array of billions", Key.METADATA, 1, b"\x7f\xff\xff\xff")
    s.ask_body("a negative array", Key.METADATA, 1, b"\xff\xff\xff\x00")
    s.ask_body("bytes behind the request", Key.METADATA, 1, b"\0\0\0\0" + b"more")
    s.ask_body("no request at all", Key.METADATA, 12, b"")


def _asked_as(s: Session, version: int) -> dict[str, object]:
    from ..wire import Closed, Wire

    wire = Wire(s.address)
    try:
        wire.send_body(Key.API_VERSIONS, version, b"\0" + b"\x03a\x02" + b"\0")
        return wire.receive(Key.API_VERSIONS, 0)
    except (Closed, ValueError, TimeoutError) as error:
        return {"connection": str(error)}
    finally:
        wire.close()


def others(s: Session) -> None:
    """Keys that Apache Kafka has for brokers, controllers and streams, and versions beyond those that there are."""
    zero = "A" * 22
    topics = [{"name": "others", "partition_indexes": [0]}]
    marker = {"producer_id": 1, "producer_epoch": 0, "transaction_result": True, "topics": topics}
    s.topic("others")
    for version in (1, 2):
        s.ask(f"markers {version}", Key.WRITE_TXN_MARKERS, version, {"markers": [marker]})
    unknown = {**marker, "topics": [{"name": "others-no", "partition_indexes": [0, 1]}]}
    s.ask("markers of an unknown topic", Key.WRITE_TXN_MARKERS, 1, {"markers": [unknown]})
    s.ask("no markers", Key.WRITE_TXN_MARKERS, 1, {"markers": []})
    listener = {"name": "CONTROLLER", "host": "127.0.0.1", "port": 99}
    voter = {"timeout_ms": 1000, "voter_id": 5, "voter_directory_id": "AAAAAAAAAAAAAAAAAAAAZw", "listeners": [listener]}
    for version in (0, 1):
        s.ask(f"add a voter {version}", Key.ADD_RAFT_VOTER, version, voter)
    s.ask("add a voter of another cluster", Key.ADD_RAFT_VOTER, 0, {**voter, "cluster_id": "another"})
    s.ask("add a voter without listeners", Key.ADD_RAFT_VOTER, 0, {**voter, "listeners": []})
    s.ask("add a voter without directory", Key.ADD_RAFT_VOTER, 0, {**voter, "voter_directory_id": zero})
    s.ask("add this node", Key.ADD_RAFT_VOTER, 0, {**voter, "voter_id": 1})
    gone = {"voter_id": 5, "voter_directory_id": "AAAAAAAAAAAAAAAAAAAAZw"}
    s.ask("remove a voter", Key.REMOVE_RAFT_VOTER, 0, gone)
    s.ask("remove a voter of another cluster", Key.REMOVE_RAFT_VOTER, 0, {**gone, "cluster_id": "another"})
    s.ask("remove this node", Key.REMOVE_RAFT_VOTER, 0, {**gone, "voter_id": 1})
    s.ask("streams group", Key.STREAMS_GROUP_DESCRIBE, 0, {"group_ids": ["others"]})
    heartbeat = {"group_id": "others", "member_id": "a", "member_epoch": 0, "endpoint_information_epoch": 0}
    s.ask("streams heartbeat", Key.STREAMS_GROUP_HEARTBEAT, 0, heartbeat)
    # Vote, BeginQuorumEpoch, AlterPartition, Envelope, BrokerRegistration, AllocateProducerIds, UpdateRaftVoter
    for key in (52, 53, 56, 58, 62, 67, 82):
        s.ask(f"key {key} of brokers and controllers", key, 0 if key != 56 else 2, {})
    for key in (83, 84, 85, 86, 87):
        s.ask(f"key {key} of share coordinators", key, 0, {})
