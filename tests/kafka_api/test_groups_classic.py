"""JoinGroup, SyncGroup, Heartbeat, LeaveGroup: the classic protocol over the wire, at every version."""

import pytest

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from .groups import (
    HEARTBEAT,
    JOIN_GROUP,
    LEAVE_GROUP,
    SYNC_GROUP,
    beat,
    commit,
    join,
    join_request,
    leave,
    stable,
    subscription,
    sync,
    sync_request,
)
from .raw_client import RawClient, served_versions
from .records import create_topic

UNKNOWN = ErrorCode.unknown_member_id.value
REBALANCING = ErrorCode.rebalance_in_progress.value


@pytest.mark.parametrize("version", served_versions(JOIN_GROUP))
def test_every_version_joins(client: RawClient, version: int) -> None:
    first = client.call(JOIN_GROUP, version, join_request())
    if version >= 4:
        assert first.error_code == ErrorCode.member_id_required.value
        assert first.member_id.startswith("raw-")
        first = client.call(JOIN_GROUP, version, join_request(first.member_id))
    assert (first.error_code, first.generation_id, first.protocol_name) == (0, 1, "range")
    assert first.leader == first.member_id
    assert [(member.member_id, member.metadata) for member in first.members] == [(first.member_id, subscription("t"))]
    if version >= 7:
        assert first.protocol_type == "consumer"


@pytest.mark.parametrize("version", served_versions(SYNC_GROUP))
def test_every_version_is_assigned(client: RawClient, version: int) -> None:
    joined = join(client)
    answer = sync(client, joined, {joined.member_id: b"x"}, version=version)
    assert (answer.error_code, bytes(answer.assignment)) == (0, b"x")
    if version >= 5:
        assert (answer.protocol_type, answer.protocol_name) == ("consumer", "range")


@pytest.mark.parametrize("version", served_versions(HEARTBEAT))
def test_every_version_beats(client: RawClient, version: int) -> None:
    joined = stable(client)
    assert beat(client, joined, version=version) == 0
    assert beat(client, joined, version=version, member_id="nobody") == UNKNOWN
    assert beat(client, joined, version=version, generation_id=7) == ErrorCode.illegal_generation.value
    assert beat(client, joined, version=version, group_id="none") == UNKNOWN


@pytest.mark.parametrize("version", served_versions(LEAVE_GROUP))
def test_every_version_leaves(client: RawClient, version: int) -> None:
    joined = stable(client)
    answer = leave(client, ("nobody", None), version=version)
    codes = [member.error_code for member in answer.members] if version >= 3 else [answer.error_code]
    assert codes == [UNKNOWN]
    assert beat(client, joined) == 0
    answer = leave(client, (joined.member_id, None), version=version)
    codes = [member.error_code for member in answer.members] if version >= 3 else [answer.error_code]
    assert (codes, answer.error_code) == ([0], 0)
    assert beat(client, joined) == UNKNOWN


def test_leaving_a_group_that_is_none_is_answered_for_each_member(client: RawClient) -> None:
    answer = leave(client, ("a", None), ("", "b"), group_id="none")
    assert answer.error_code == 0
    assert [(member.member_id, member.group_instance_id, member.error_code) for member in answer.members] == [
        ("a", None, UNKNOWN),
        ("", "b", UNKNOWN),
    ]
    assert leave(client, ("a", None), group_id="none", version=2).error_code == UNKNOWN


def test_two_members_agree(server: LogServer, client: RawClient) -> None:
    one = stable(client)
    with RawClient(server.kafka) as other:
        id_of_two = other.call(JOIN_GROUP, 9, join_request()).member_id
        other.send(JOIN_GROUP, 9, join_request(id_of_two))
        # Whether the other one's request has been seen yet or not: it was given an id, so it is awaited.
        client.send(JOIN_GROUP, 9, join_request(one.member_id))
        two, one = other.receive(), client.receive()
        assert (one.generation_id, two.generation_id, two.leader) == (2, 2, one.member_id)
        assert {member.member_id for member in one.members} == {one.member_id, two.member_id}
        assert two.members == []
        other.send(SYNC_GROUP, 5, sync_request(two))
        answer = sync(client, one, {one.member_id: b"1", two.member_id: b"2"})
        assert (bytes(answer.assignment), bytes(other.receive().assignment)) == (b"1", b"2")
        # Members that leave make the others join again.
        leave(other, (two.member_id, None))
        assert beat(client, one) == REBALANCING
        assert sync(client, one).error_code == REBALANCING


def test_refusals_have_kafka_s_codes(client: RawClient) -> None:
    def refused(**fields: object) -> int:
        code: int = client.call(JOIN_GROUP, 9, join_request(**fields)).error_code  # type: ignore[arg-type]
        return code

    assert refused(group_id="") == ErrorCode.invalid_group_id.value
    assert refused(session_timeout_ms=1) == ErrorCode.invalid_session_timeout.value
    assert refused(member_id="nobody") == UNKNOWN
    assert refused(protocols=[]) == ErrorCode.inconsistent_group_protocol.value
    joined = stable(client)
    assert refused(protocol_type="connect") == ErrorCode.inconsistent_group_protocol.value
    assert sync(client, joined, protocol_name="sticky").error_code == ErrorCode.inconsistent_group_protocol.value
    assert sync(client, joined, protocol_name=None).error_code == ErrorCode.inconsistent_group_protocol.value
    assert sync(client, joined, generation_id=9).error_code == ErrorCode.illegal_generation.value


def test_a_static_member_comes_back(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    joined = stable(client, instance_id="i")
    again = join(client, instance_id="i")
    assert (again.error_code, again.generation_id, again.skip_assignment) == (0, 1, True)
    assert again.member_id != joined.member_id
    assert bytes(sync(client, again, group_instance_id="i").assignment) == b"all"
    fenced = ErrorCode.fenced_instance_id.value
    assert beat(client, joined, group_instance_id="i") == fenced
    assert commit(client, {("t", 0): 1}, member_id=joined.member_id, epoch=1, group_instance_id="i") == {
        ("t", 0): fenced
    }
    # An older one is told that another member leads.
    old = join(client, instance_id="i", version=8)
    assert (old.leader, old.members) == (again.member_id, [])
    answer = leave(client, ("", "i"))
    assert [member.error_code for member in answer.members] == [0]


def test_members_outlive_a_restart(server: LogServer, client: RawClient) -> None:
    joined = stable(client)
    server.stop()
    server.start()
    with RawClient(server.kafka) as again:
        assert beat(again, joined) == 0
        assert bytes(sync(again, joined).assignment) == b"all"


def test_a_member_whose_connection_ends_while_it_waits_is_awaited_no_longer_than_its_session(
    server: LogServer, client: RawClient
) -> None:
    one = stable(client, rebalance_timeout_ms=6_000, session_timeout_ms=6_000)
    with RawClient(server.kafka) as other:
        id_of_two = other.call(JOIN_GROUP, 9, join_request(session_timeout_ms=6_000)).member_id
        other.send(JOIN_GROUP, 9, join_request(id_of_two, session_timeout_ms=6_000))
    answer = join(client, one.member_id)
    assert answer.error_code == 0
    # The group works: the one who is left is told of whoever there is, and leads.
    assert answer.leader == one.member_id
