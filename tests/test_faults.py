"""What is to fail is counted, found by name, and a name that is none is answered with the nearest."""

import pytest

from logserver.errors import ErrorCode
from logserver.faults import Faults


@pytest.fixture
def faults() -> Faults:
    faults = Faults()
    for api in ("Kafka.Fetch", "Log.Fetch", "Log.ProduceStream"):
        faults.serves(api)
    return faults


def test_so_many_calls_fail(faults: Faults) -> None:
    fault = faults.fail("Log.Fetch", ErrorCode.not_leader_or_follower, 2)
    assert faults.is_due("Log.Fetch") and not faults.is_due("Kafka.Fetch")
    assert faults.take("Kafka.Fetch") is None
    for number in (1, 2):
        error = faults.take("Log.Fetch")
        assert error is not None and error.code is ErrorCode.not_leader_or_follower
        assert fault.failed == number
    assert fault.is_over and not faults.is_due("Log.Fetch")
    assert faults.take("Log.Fetch") is None


def test_the_last_part_of_a_name_is_every_api_that_ends_so(faults: Faults) -> None:
    fault = faults.fail("Fetch", "KAFKA_STORAGE_ERROR", 2)
    assert fault.apis == {"Kafka.Fetch", "Log.Fetch"}
    assert faults.take("Kafka.Fetch") and faults.take("Log.Fetch")
    assert faults.take("Kafka.Fetch") is None


def test_faults_of_the_same_api_come_one_after_the_other(faults: Faults) -> None:
    faults.fail("Log.Fetch", "KAFKA_STORAGE_ERROR", 1)
    with faults.fail("Log.Fetch", "OFFSET_OUT_OF_RANGE", None):
        found = [faults.take("Log.Fetch") for _ in range(3)]
        assert [error and error.name for error in found] == ["KAFKA_STORAGE_ERROR", *["OFFSET_OUT_OF_RANGE"] * 2]
    assert faults.take("Log.Fetch") is None


def test_a_fault_that_is_ended_is_over(faults: Faults) -> None:
    fault = faults.fail("Fetch", "KAFKA_STORAGE_ERROR", None)
    assert faults.take("Log.Fetch")
    fault.end()
    fault.end()
    assert not faults.is_due("Kafka.Fetch") and faults.take("Kafka.Fetch") is None
    assert fault.failed == 1


@pytest.mark.parametrize(
    ("api", "error", "times", "told"),
    [
        ("Fetsh", "KAFKA_STORAGE_ERROR", 1, "no API 'Fetsh'; did you mean 'Fetch'"),
        ("log.producestream", "KAFKA_STORAGE_ERROR", 1, "did you mean 'Log.ProduceStream'"),
        ("quux", "KAFKA_STORAGE_ERROR", 1, "no API 'quux'$"),
        ("Fetch", "NOT_LEADER", 1, "no error 'NOT_LEADER'; did you mean 'NOT_LEADER_OR_FOLLOWER'"),
        ("Fetch", "not_leader_or_follower", 1, "did you mean 'NOT_LEADER_OR_FOLLOWER'"),
        ("Fetch", ErrorCode.none, 1, "no error 'NONE'"),
        ("Fetch", "KAFKA_STORAGE_ERROR", 0, "give 1 or more"),
    ],
)
def test_what_there_is_not_is_refused(faults: Faults, api: str, error: ErrorCode | str, times: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        faults.fail(api, error, times)
    assert not any(map(faults.is_due, ("Kafka.Fetch", "Log.Fetch", "Log.ProduceStream")))
