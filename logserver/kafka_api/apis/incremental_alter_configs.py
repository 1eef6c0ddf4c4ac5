"""IncrementalAlterConfigs (key 44), versions 0 to 1.

Behavior: sets, deletes, appends to and subtracts from settings of topics, this broker, all brokers (the empty name),
groups, subscriptions to clients' metrics, and levels of loggers; all of a resource or none, or only says whether it
could. What a broker is given at run time is kept in the metadata store and stands above its own configuration; a
setting that takes effect only at the start is refused with INVALID_REQUEST. Deleting what is not set is fine.

Version notes: 1 is the first flexible one.

Source: KIP-339, KIP-412; Apache Kafka: `ConfigurationControlManager.incrementalAlterConfig`, `ConfigAdminManager`,
`DynamicBrokerConfig`.

Not done: nothing.
"""

from collections.abc import Awaitable, Mapping
from enum import IntEnum
from typing import Any, Final

from logserver.broker import Broker
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.config_changes import Target, change_settings
from logserver.kafka_api.config_resources import ResourceType, check_node, repeated
from logserver.kafka_api.errors import error_fields
from logserver.kafka_api.in_turns import in_turns
from logserver.kafka_api.loggers import check_level, set_level


class _Operation(IntEnum):
    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


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
            _check(resource.configs)
            await _alter(broker, resource, request.validate_only)
        except LogServerError as error:
            response |= error_fields(error)
        responses.append(response)
    return {"responses": responses}


def _response(resource: Struct) -> dict[str, Any]:
    return {
        "error_message": None,
        "resource_type": resource.resource_type,
        "resource_name": resource.resource_name,
    }


def _check(configs: list[Struct]) -> None:
    names = [config.name for config in configs]
    if len(set(names)) < len(names):
        raise LogServerError(ErrorCode.invalid_request, "the request changes a setting more than once")
    for config in configs:
        if config.config_operation not in list(_Operation):
            raise LogServerError(ErrorCode.invalid_request, f"there is no operation {config.config_operation}")
        if config.value is None and config.config_operation != _Operation.DELETE:
            raise LogServerError(ErrorCode.invalid_request, f"{config.name} is to be changed without a value")


async def _alter(broker: Broker, resource: Struct, validate_only: bool) -> None:
    if resource.resource_type == ResourceType.BROKER_LOGGER:
        check_node(broker, resource.resource_name)
        _alter_loggers(resource.configs, validate_only)
        return

    def change(target: Target, settings: Mapping[str, str]) -> Mapping[str, str]:
        new = dict(settings)
        for config in resource.configs:
            _apply(broker, target, new, config)
        return new

    await change_settings(broker, resource.resource_type, resource.resource_name, change, validate_only=validate_only)


def _apply(broker: Broker, target: Target, settings: dict[str, str], config: Struct) -> None:
    match config.config_operation:
        case _Operation.SET:
            settings[config.name] = config.value
        case _Operation.DELETE:
            settings.pop(config.name, None)
        case operation:
            definition = target.definitions.get(config.name)
            if definition is None or definition.kind != "list" or not target.is_appendable:
                raise LogServerError(
                    ErrorCode.invalid_config, f"{config.name} of {target.what} is no list that can be appended to"
                )
            old = settings.get(config.name)
            items = _items(target.default(broker, config.name) if old is None else old)
            given = _items(config.value)
            if operation == _Operation.APPEND:
                items += [item for item in given if item not in items]
            else:
                items = [item for item in items if item not in given]
            settings[config.name] = ",".join(items)


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _alter_loggers(configs: list[Struct], validate_only: bool) -> None:
    for config in configs:
        if config.config_operation not in (_Operation.SET, _Operation.DELETE):
            raise LogServerError(ErrorCode.invalid_request, "levels of loggers can only be set and deleted")
    levels = {config.name: config.value if config.config_operation == _Operation.SET else None for config in configs}
    for name, level in levels.items():
        check_level(name, level)
    if not validate_only:
        for name, level in levels.items():
            set_level(name, level)


def _failed(request: Struct, code: int, message: str) -> Response:
    error = {"error_code": code, "error_message": message}
    return {"responses": [_response(resource) | error for resource in request.resources]}


API: Final = Api(44, "IncrementalAlterConfigs", 0, 1, handle=_handle, failed=_failed)
