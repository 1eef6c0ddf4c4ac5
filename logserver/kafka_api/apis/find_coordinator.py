"""FindCoordinator (key 10), versions 0 to 6.

Behavior: this node coordinates every group, transaction and share group; a group without an id is refused. What is
asked for may be several keys at once.

Version notes: 1 brought key types (0 group, 1 transaction), 4 several keys (KIP-699), 6 share groups (key type 2, named
GROUP:TOPIC-ID:PARTITION).

Source: KIP-699, KIP-932; Apache Kafka: `KafkaApis.handleFindCoordinatorRequest`.

Not done: nothing.
"""

import re
from typing import Any, Final

from logserver.errors import ErrorCode
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

_GROUP: Final = 0
_TRANSACTION: Final = 1
_SHARE: Final = 2
_SEVERAL: Final = 4
_SHARE_GROUPS: Final = 6
_SHARE_KEY: Final = re.compile(r"\s*[^\s].*:[A-Za-z0-9_-]{22}:[0-9]{1,10}", re.DOTALL)


def _coordinator(call: Call, key_type: int, key: str) -> dict[str, Any]:
    code, message = ErrorCode.none, ""
    if key_type not in (_GROUP, _TRANSACTION, _SHARE):
        code, message = ErrorCode.invalid_request, f"key type {key_type} is not known; it is 0, 1 or 2"
    elif key_type == _GROUP and not key:
        code, message = ErrorCode.invalid_group_id, "the group id is empty"
    elif key_type == _SHARE and call.version < _SHARE_GROUPS:
        code, message = ErrorCode.invalid_request, f"share groups came with version {_SHARE_GROUPS}"
    elif key_type == _SHARE and not _SHARE_KEY.fullmatch(key):
        code, message = ErrorCode.invalid_request, "a share group's key is GROUP:TOPIC-ID:PARTITION"
    if code is not ErrorCode.none:
        return _refused(key, code.value, message)
    node_id = call.services.broker.node.node_id
    return {"key": key, "node_id": node_id, "host": call.host, "port": call.port, "error_message": ""}


def _refused(key: str, code: int, message: str) -> dict[str, Any]:
    return {"key": key, "node_id": -1, "host": "", "port": -1, "error_code": code, "error_message": message}


def _handle(call: Call, request: Struct) -> Response:
    if call.version < _SEVERAL:
        return _coordinator(call, request.key_type, request.key)
    return {"coordinators": [_coordinator(call, request.key_type, key) for key in request.coordinator_keys]}


def _failed(request: Struct, code: int, message: str) -> Response:
    # Of one key in the older versions, of several in the others.
    return {
        **_refused(request.key, code, message),
        "coordinators": [_refused(key, code, message) for key in request.coordinator_keys],
    }


API: Final = Api(10, "FindCoordinator", 0, 6, handle=_handle, failed=_failed)
