"""The table of error codes."""

import grpc
import pytest

from logserver.errors import (
    _CODES_BY_STATUS,
    GRPC_STATUS,
    ErrorCode,
    LeaderHint,
    LogServerError,
    kafka_name,
    unknown_partition,
    unknown_topic,
)


@pytest.mark.parametrize("code", ErrorCode, ids=kafka_name)
def test_every_code_has_one_grpc_status(code):
    assert sum(code in codes for codes in _CODES_BY_STATUS.values()) == 1
    assert hasattr(grpc.StatusCode, GRPC_STATUS[code])


def test_only_success_is_ok():
    assert [code for code, status in GRPC_STATUS.items() if status == "OK"] == [ErrorCode.none]


def test_whatever_passes_by_itself_is_retriable_or_told_apart_by_its_code():
    unavailable = {code for code, status in GRPC_STATUS.items() if status == "UNAVAILABLE"}
    assert {code for code in unavailable if not code.retriable} == {
        ErrorCode.broker_not_available,
        ErrorCode.new_leader_elected,
    }


def test_an_error_carries_code_name_and_sentence():
    hint = LeaderHint(2, 7, "127.0.0.1:50052")
    error = LogServerError(ErrorCode.not_leader_or_follower, "Node 2 leads it.", leader=hint)
    assert (error.code, error.name, error.retriable) == (6, "NOT_LEADER_OR_FOLLOWER", True)
    assert (error.grpc_status, error.leader) == ("UNAVAILABLE", hint)
    assert str(error) == "NOT_LEADER_OR_FOLLOWER: Node 2 leads it."


def test_unknown_topics_and_partitions():
    assert unknown_topic("flights").code == ErrorCode.unknown_topic_or_partition
    assert "'flights'" in unknown_topic("flights").message
    assert "partition 12; its partitions are 0 to 11" in unknown_partition("flights", 12, 12).message
