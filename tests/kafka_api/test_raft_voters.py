"""AddRaftVoter and RemoveRaftVoter: the quorum is this node alone, and stays so."""

from typing import Any

import pytest

from logserver.errors import ErrorCode

from .admin import DESCRIBE_CLUSTER
from .raw_client import RawClient, served_versions

ADD, REMOVE = 80, 81
SOMEBODY = {"cluster_id": None, "voter_id": 5, "voter_directory_id": "AAAAAAAAAAAAAAAAAAAAZw"}
LISTENER = {"name": "CONTROLLER", "host": "127.0.0.1", "port": 9093}


def code(client: RawClient, key: int, **fields: Any) -> ErrorCode:
    """Returns the error of the highest version, whose text has to be there."""
    listeners = {"listeners": [LISTENER]} if key == ADD else {}
    response = client.call(key, served_versions(key)[-1], SOMEBODY | listeners | fields)
    assert response.error_message
    return ErrorCode(response.error_code)


@pytest.mark.parametrize("key", [ADD, REMOVE])
def test_the_voters_are_fixed(client: RawClient, key: int) -> None:
    cluster_id = client.call(DESCRIBE_CLUSTER, 0, {}).cluster_id
    for given in (None, cluster_id):
        assert code(client, key, cluster_id=given) is ErrorCode.unsupported_version
    assert code(client, key, cluster_id="another") is ErrorCode.inconsistent_cluster_id
    assert code(client, key, voter_id=-1) is ErrorCode.invalid_request
    assert code(client, key, voter_directory_id="A" * 22) is ErrorCode.invalid_request


def test_a_voter_has_a_listener(client: RawClient) -> None:
    assert code(client, ADD, listeners=[]) is ErrorCode.invalid_request
