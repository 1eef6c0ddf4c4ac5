"""DeleteTopics (key 20), versions 1 to 6.

Behavior: deletes topics by name or id with all their records. A topic that is named twice, by whatever means, is
refused and stays; the server's own topics can't be deleted.

Version notes: up to 5 topics are asked for by name, from 6 on by name or id (KIP-516); 5 brought error messages.

Source: KIP-4, KIP-516; Apache Kafka: `ControllerApis.deleteTopics`.

Not done: `delete.topic.enable`: topics can always be deleted.
"""

from collections import Counter
from collections.abc import Awaitable
from typing import Any, Final

from logserver.broker import Broker, Topic
from logserver.errors import ErrorCode, LogServerError, unknown_topic
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.codec.schema import ZERO_UUID
from logserver.kafka_api.deadline import within
from logserver.kafka_api.errors import error_fields

_Asked = tuple[str | None, str]
"""Name and id, one of which there should be."""


def _handle(call: Call, request: Struct) -> Awaitable[Response]:
    async def delete() -> Response:
        return {"responses": await _delete_all(call.services.broker, _asked(request))}

    return within(request.timeout_ms, delete)


def _asked(request: Struct) -> list[_Asked]:
    return [(name, ZERO_UUID) for name in request.topic_names] + [(t.name, t.topic_id) for t in request.topics]


async def _delete_all(broker: Broker, asked: list[_Asked]) -> list[dict[str, Any]]:
    counts = Counter(asked)
    found = {item: _find(broker, *item) for item in counts}
    by_id = {topic.name for item, topic in found.items() if item[0] is None and isinstance(topic, Topic)}
    by_name = {name for (name, _), count in counts.items() if name is not None and count == 1}
    responses = []
    for (name, topic_id), topic in found.items():
        try:
            if isinstance(topic, LogServerError):
                raise topic
            if counts[name, topic_id] > 1:
                raise LogServerError(ErrorCode.invalid_request, f"the topic {name or topic_id} is in the request twice")
            if name in by_id:
                topic_id = topic.record.topic_id
                raise LogServerError(ErrorCode.invalid_request, f"the topic {name!r} is in the request by its id, too")
            if name is None and topic.name in by_name:
                # Refused by its name.
                continue
            await broker.delete_topic(topic.name)
        except LogServerError as error:
            responses.append({"name": name, "topic_id": topic_id, **error_fields(error)})
            continue
        responses.append({"name": topic.name, "topic_id": topic.record.topic_id, "error_message": None})
    return responses


def _find(broker: Broker, name: str | None, topic_id: str) -> Topic | LogServerError:
    if name is None and topic_id == ZERO_UUID:
        return LogServerError(ErrorCode.invalid_request, "a topic has neither name nor id")
    if name is not None and topic_id != ZERO_UUID:
        return LogServerError(ErrorCode.invalid_request, "a topic has both name and id; only one of them may be given")
    if name is not None:
        return broker.find_topic(name) or unknown_topic(name)
    return broker.find_topic_by_id(topic_id) or LogServerError(
        ErrorCode.unknown_topic_id, f"there is no topic with the id {topic_id}"
    )


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "responses": [
            {"name": name, "topic_id": topic_id, "error_code": code, "error_message": message}
            for name, topic_id in _asked(request)
        ]
    }


API: Final = Api(20, "DeleteTopics", 1, 6, handle=_handle, failed=_failed)
