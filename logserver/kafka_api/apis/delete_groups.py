"""DeleteGroups (key 42), versions 0 to 2.

Behavior: forgets groups without members, and their offsets.

Source: KIP-229; Apache Kafka: `GroupMetadataManager.createGroupTombstoneRecords`.

Not done: nothing.
"""

from typing import Final

from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.group_errors import code_of
from logserver.kafka_api.in_turns import in_turns


async def _handle(call: Call, request: Struct) -> Response:
    groups = call.services.groups
    return {
        "results": [
            {"group_id": group_id, "error_code": await code_of(groups.delete_group(group_id))}
            async for group_id in in_turns(dict.fromkeys(request.groups_names))
        ]
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    groups = dict.fromkeys(request.groups_names)
    return {"results": [{"group_id": group_id, "error_code": code} for group_id in groups]}


API: Final = Api(42, "DeleteGroups", 0, 2, handle=_handle, failed=_failed)
