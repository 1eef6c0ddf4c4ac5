"""InitProducerId: ids of idempotent producers."""

from typing import Any

import pytest

from logserver.errors import ErrorCode

from .raw_client import INIT_PRODUCER_ID, RawClient, served_versions


def init(client: RawClient, *, version: int = 5, **fields: Any) -> tuple[int, int, int]:
    request = {"transactional_id": None, "transaction_timeout_ms": 60_000, **fields}
    answer = client.call(INIT_PRODUCER_ID, version, request)
    return answer.error_code, answer.producer_id, answer.producer_epoch


def test_every_version_gives_a_new_id(client: RawClient) -> None:
    given = [init(client, version=version) for version in served_versions(INIT_PRODUCER_ID)]
    assert {(error, epoch) for error, _, epoch in given} == {(0, 0)}
    assert len({producer_id for _, producer_id, _ in given}) == len(given)


def test_a_producer_without_transactions_that_has_an_id_gets_another(client: RawClient) -> None:
    _, first, _ = init(client)
    error, second, epoch = init(client, producer_id=first, producer_epoch=0)
    assert (error, epoch) == (0, 0) and second != first


@pytest.mark.parametrize("half", [{"producer_id": 1}, {"producer_epoch": 1}])
def test_id_and_epoch_come_together(client: RawClient, half: dict[str, int]) -> None:
    assert init(client, **half) == (ErrorCode.invalid_request.value, -1, -1)


def test_a_transactional_id_is_not_empty(client: RawClient) -> None:
    assert init(client, transactional_id="") == (ErrorCode.invalid_request.value, -1, -1)
