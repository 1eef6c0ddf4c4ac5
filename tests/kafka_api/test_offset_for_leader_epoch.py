"""OffsetForLeaderEpoch: where epochs ended."""

import pytest

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from .raw_client import OFFSET_FOR_LEADER_EPOCH, RawClient, served_versions
from .records import batch, create_topic, lead_again, stored


@pytest.fixture
def three_epochs(server: LogServer, client: RawClient) -> None:
    """Epoch 0 wrote offsets 0 and 1, epoch 3 offset 2, epoch 5 nothing yet."""
    create_topic(server)
    stored(client, batch("a", "b"))
    lead_again(server, 3)
    stored(client, batch("c"))
    lead_again(server, 5)


def end_of(
    client: RawClient, epoch: int, *, current: int = -1, version: int = 4, partition: int = 0
) -> tuple[int, int, int]:
    asked = {"partition": partition, "current_leader_epoch": current, "leader_epoch": epoch}
    request = {"replica_id": -1, "topics": [{"topic": "t", "partitions": [asked]}]}
    answer = client.call(OFFSET_FOR_LEADER_EPOCH, version, request).topics[0].partitions[0]
    assert answer.partition == partition
    return answer.error_code, answer.leader_epoch, answer.end_offset


@pytest.mark.parametrize("version", served_versions(OFFSET_FOR_LEADER_EPOCH))
def test_every_version_tells_where_an_epoch_ended(client: RawClient, three_epochs: None, version: int) -> None:
    assert end_of(client, 0, version=version) == (0, 0, 2)
    assert end_of(client, 3, version=version) == (0, 3, 3)


def test_an_epoch_that_wrote_nothing_is_told_by_the_one_before(client: RawClient, three_epochs: None) -> None:
    assert end_of(client, 2) == (0, 0, 2)
    assert end_of(client, 4) == (0, 3, 3)


def test_the_current_epoch_ends_at_the_end_of_the_log(client: RawClient, three_epochs: None) -> None:
    assert end_of(client, 5) == (0, 5, 3)
    stored(client, batch("d"))
    assert end_of(client, 5) == (0, 5, 4)


def test_later_epochs_and_none_are_undefined(client: RawClient, three_epochs: None) -> None:
    assert end_of(client, 6) == (0, -1, -1)
    assert end_of(client, -1) == (0, -1, -1)


def test_the_client_s_current_epoch_is_checked_first(client: RawClient, three_epochs: None) -> None:
    assert end_of(client, 0, current=5) == (0, 0, 2)
    assert end_of(client, 0, current=3) == (ErrorCode.fenced_leader_epoch.value, -1, -1)
    assert end_of(client, 0, current=6) == (ErrorCode.unknown_leader_epoch.value, -1, -1)


def test_a_partition_that_is_not_there(client: RawClient, three_epochs: None) -> None:
    assert end_of(client, 0, partition=1) == (ErrorCode.unknown_topic_or_partition.value, -1, -1)
