"""RemoveRaftVoter (key 81), version 0.

Behavior: the metadata quorum is this node alone. No voter can be removed: UNSUPPORTED_VERSION, as Apache Kafka answers
where the voters are those of its settings (kraft.version 0).

Version notes: there is one version.

Source: KIP-853; Apache Kafka: `KafkaRaftClient.handleRemoveVoterRequest`, `RemoveVoterHandler`.

Not done: more nodes than one.
"""

from typing import Final

from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.voters import check_voter, fixed_voters


def _handle(call: Call, request: Struct) -> Response:
    check_voter(call, request)
    raise fixed_voters()


API: Final = Api(81, "RemoveRaftVoter", 0, 0, handle=_handle)
