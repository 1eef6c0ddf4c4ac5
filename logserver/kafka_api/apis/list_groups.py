"""ListGroups (key 16), versions 0 to 5.

Behavior: lists all groups of this node, those of the bundled client among them.

Version notes: 4 brought states (KIP-518), 5 types (KIP-848), to see and to filter by.

Source: Apache Kafka: `GroupMetadataManager.listGroups`.

Not done: nothing.
"""

from typing import Final

from logserver.coordinator import GroupSummary
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.group_errors import STATES


async def _handle(call: Call, request: Struct) -> Response:
    states = {state.lower() for state in request.states_filter}
    types = {kind.lower() for kind in request.types_filter}
    groups = [group for group in await call.services.groups.list_groups() if not types or group.type in types]
    return {"groups": [_group(group) for group in groups if not states or STATES[group.state].lower() in states]}


def _group(group: GroupSummary) -> Response:
    return {
        "group_id": group.group_id,
        "protocol_type": group.protocol_type,
        "group_state": STATES[group.state],
        "group_type": group.type,
    }


API: Final = Api(16, "ListGroups", 0, 5, handle=_handle)
