"""Changes of the voters of the metadata quorum, which one node does not make."""

from typing import Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Call
from logserver.kafka_api.codec import Struct

_NO_DIRECTORY: Final = "A" * 22


def check_voter(call: Call, request: Struct) -> None:
    """Checks which voter of which cluster a request is about.

    Raises:
        LogServerError: INCONSISTENT_CLUSTER_ID, INVALID_REQUEST.
    """
    own = call.services.broker.node.cluster_id
    if request.cluster_id is not None and request.cluster_id != own:
        raise LogServerError(
            ErrorCode.inconsistent_cluster_id, f"the request is for the cluster {request.cluster_id!r}, this is {own!r}"
        )
    if request.voter_id < 0 or request.voter_directory_id == _NO_DIRECTORY:
        raise LogServerError(ErrorCode.invalid_request, "a voter has an id of at least 0 and the id of a directory")


def fixed_voters() -> LogServerError:
    """Returns the error that Apache Kafka answers where the voters are those of its settings (kraft.version 0)."""
    return LogServerError(
        ErrorCode.unsupported_version, "the metadata quorum is this node alone: no voter can be added or removed"
    )
