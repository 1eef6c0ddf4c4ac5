"""AddRaftVoter (key 80), versions 0 to 1.

Behavior: the metadata quorum is this node alone. No voter can be added: UNSUPPORTED_VERSION, as Apache Kafka answers
where the voters are those of its settings (kraft.version 0).

Version notes: 1 may ask for an answer before the change is committed.

Source: KIP-853; Apache Kafka: `KafkaRaftClient.handleAddVoterRequest`, `AddVoterHandler`.

Not done: more nodes than one.
"""

from typing import Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.voters import check_voter, fixed_voters


def _handle(call: Call, request: Struct) -> Response:
    check_voter(call, request)
    if not request.listeners:
        raise LogServerError(ErrorCode.invalid_request, "a voter has a listener")
    raise fixed_voters()


API: Final = Api(80, "AddRaftVoter", 0, 1, handle=_handle)
