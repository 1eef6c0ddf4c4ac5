"""AlterConfigs (key 33), versions 0 to 2.

Behavior: replaces all settings that a topic, this broker, all brokers (the empty name), a group or a subscription to
clients' metrics has of its own; what the request does not name goes back to its default. Otherwise as
IncrementalAlterConfigs, which is what clients should use.

Version notes: 2 is the first flexible one.

Source: KIP-133; Apache Kafka: `ConfigurationControlManager.legacyAlterConfigs`, `ConfigAdminManager`.

Not done: nothing.
"""

from collections.abc import Awaitable, Mapping
from typing import Any, Final

from logserver.broker import Broker
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.config_changes import Target, change_settings
from logserver.kafka_api.config_resources import repeated
from logserver.kafka_api.errors import error_fields
from logserver.kafka_api.in_turns import in_turns


def _handle(call: Call, request: Struct) -> Awaitable[Response]:
    return _alter_all(call.services.broker, request)


async def _alter_all(broker: Broker, request: Struct) -> Response:
    again = repeated(request.resources)
    responses = []
    async for resource in in_turns(request.resources):
        response = _response(resource)
        try:
            if (resource.resource_type, resource.resource_name) in again:
                raise LogServerError(ErrorCode.invalid_request, "the request names this resource more than once")
            await _replace(broker, resource, _settings(resource.configs), request.validate_only)
        except LogServerError as error:
            response |= error_fields(error)
        responses.append(response)
    return {"responses": responses}


async def _replace(broker: Broker, resource: Struct, settings: Mapping[str, str], validate_only: bool) -> None:
    def change(target: Target, old: Mapping[str, str]) -> Mapping[str, str]:
        return settings

    await change_settings(broker, resource.resource_type, resource.resource_name, change, validate_only=validate_only)


def _settings(configs: list[Struct]) -> Mapping[str, str]:
    settings: dict[str, str] = {}
    for config in configs:
        if config.name in settings:
            raise LogServerError(ErrorCode.invalid_request, f"the request changes {config.name} more than once")
        if config.value is None:
            raise LogServerError(ErrorCode.invalid_request, f"{config.name} is to be changed without a value")
        settings[config.name] = config.value
    return settings


def _response(resource: Struct) -> dict[str, Any]:
    return {
        "error_message": None,
        "resource_type": resource.resource_type,
        "resource_name": resource.resource_name,
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    error = {"error_code": code, "error_message": message}
    return {"responses": [_response(resource) | error for resource in request.resources]}


API: Final = Api(33, "AlterConfigs", 0, 2, handle=_handle, failed=_failed)
