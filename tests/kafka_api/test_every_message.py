"""Every API at every version: what is asked is answered, and an independent codec (kio's) reads both."""

import io
import logging
from collections.abc import Iterator
from typing import Any, Final

import pytest
from kio.serial import entity_reader, entity_writer
from kio.serial.errors import OutOfBoundValue
from kio.static.constants import EntityType

from logserver.kafka_api.codec import Struct, read_request, read_response, write_request, write_response
from logserver.kafka_api.codec.schema import _entity
from logserver.kafka_api.registry import APIS
from logserver.testing import LogServer

from .every_message import KINDS, World, api_versions
from .raw_client import RawClient
from .wire import framed, traced_request

MOST_ELEMENTS: Final = 10_000
UNKNOWN_SERVER_ERROR: Final = -1
NO_ERROR: Final = 0
TRANSACTIONS: Final = (24, 25, 26, 27, 28)
"""It takes several requests to make sense of one."""
NEVER: Final = (38, 39, 40, 65)
"""Answers about tokens and transactions that say never as -1, a time that kio has no object for."""

REFUSED: Final = {
    "LeaveGroup": {25},  # no member has this id
    "SaslHandshake": {34},
    "SaslAuthenticate": {34},
    "DescribeAcls": {54},
    "CreateAcls": {54},
    "DeleteAcls": {54},
    "CreateDelegationToken": {64},
    "RenewDelegationToken": {64},
    "ExpireDelegationToken": {64},
    "DescribeDelegationToken": {64},
    "ElectLeaders": {84},  # the leader is the preferred one already
    "AlterPartitionReassignments": {85},  # none is under way
    "DeleteGroups": {69},
    "JoinGroup": {79},  # from version 4 on the first answer gives the member its id
    "AlterUserScramCredentials": {93},
    "UnregisterBroker": {42, 102},
    "DescribeTransactions": {105},
    "PushTelemetry": {42, 117},
    "AddRaftVoter": {42},  # it has no directory
    "RemoveRaftVoter": {42},
    "ConsumerGroupDescribe": {69},  # one of the groups is a classic one
    "ShareFetch": {42},  # the member has no name
    "ShareAcknowledge": {42},  # nor here
    "ShareGroupDescribe": {69},  # the groups are no share groups
    "AlterShareGroupOffsets": {69},  # nor is this one
    "DeleteShareGroupOffsets": {69},
}
"""What a sensible request is answered here besides 0, where it is something."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with LogServer() as server:
        yield World(server)


@pytest.mark.parametrize(("api_key", "version"), api_versions())
def test_what_is_asked_is_answered(world: World, api_key: int, version: int, caplog: pytest.LogCaptureFixture) -> None:
    for number, kind in enumerate(KINDS):
        world.ensure()
        message = world.message(api_key, version, kind)
        # Tagged fields of a client that is newer than the server are passed by.
        frame = traced_request(api_key, version, message, number, has_unknown_tags=bool(number % 2)).data
        with RawClient(world.server.kafka) as client:
            client.send_bytes(framed(bytes(frame)))
            answer = client.receive_frame()
        found = _decoded(api_key, version, answer, number)
        codes = error_codes(found)
        assert UNKNOWN_SERVER_ERROR not in codes, (kind, message, found)
        if kind == "sensible" and api_key not in TRANSACTIONS:
            assert codes - {NO_ERROR} <= REFUSED.get(APIS[api_key].name, set()), (message, found)
    assert not failures(caplog)


@pytest.mark.parametrize(("api_key", "version"), api_versions())
def test_requests_are_read_and_written_as_others_do(world: World, api_key: int, version: int) -> None:
    entity = _entity(api_key, version, "request")
    for kind in KINDS:
        message = world.message(api_key, version, kind)
        traced = traced_request(api_key, version, message, 1)
        header, body = entity_reader(entity.__header_schema__)(bytes(traced.data), 0)
        assert (header.request_api_key, header.request_api_version, header.client_id) == (api_key, version, "traced")
        written = bytes(traced.data[body:])
        assert write_request(api_key, version, message) == written
        read = read_request(api_key, version, memoryview(written), MOST_ELEMENTS)
        assert write_request(api_key, version, read) == written
        if kind == "sensible":
            assert entity_reader(entity)(written, 0)[1] == len(written)


@pytest.mark.parametrize(("api_key", "version"), api_versions())
def test_a_request_that_fails_as_a_whole_has_an_answer(world: World, api_key: int, version: int) -> None:
    api = APIS[api_key]
    for kind in KINDS if api.handle is not None else ():
        written = write_request(api_key, version, world.message(api_key, version, kind))
        request = read_request(api_key, version, memoryview(written), MOST_ELEMENTS)
        plain = {"error_code": UNKNOWN_SERVER_ERROR, "error_message": "m"}
        response = api.failed(request, UNKNOWN_SERVER_ERROR, "m") if api.failed is not None else plain
        body = write_response(api_key, version, response)
        _read_by_kio(api_key, version, body)
        codes = error_codes(read_response(api_key, version, memoryview(body)))
        if kind == "sensible" and "error_code" in repr(_entity(api_key, version, "response").__annotations__):
            assert codes == {UNKNOWN_SERVER_ERROR}


def _decoded(api_key: int, version: int, frame: bytes, correlation_id: int) -> Struct:
    entity = _entity(api_key, version, "response")
    assert entity.__type__ is EntityType.response
    header, behind = entity_reader(entity.__header_schema__)(frame, 0)
    assert header.correlation_id == correlation_id
    body = frame[behind:]
    _read_by_kio(api_key, version, body)
    # kio takes null where a schema has none; this reader does not.
    return read_response(api_key, version, memoryview(body))


def _read_by_kio(api_key: int, version: int, body: bytes) -> None:
    entity = _entity(api_key, version, "response")
    try:
        found, size = entity_reader(entity)(body, 0)
    except OutOfBoundValue:
        assert api_key in NEVER
        return
    assert size == len(body)
    again = io.BytesIO()
    entity_writer(entity)(again, found)
    assert again.getvalue() == body


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Returns what the server's log says of connections closed, and of what it takes for its own fault."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.ERROR or "connection closed" in record.getMessage()
    ]


def error_codes(value: Any) -> set[int]:
    """Returns all error codes in a response."""
    if isinstance(value, Struct):
        value = value.__dict__
    if isinstance(value, dict):
        own = {value["error_code"]} if "error_code" in value else set()
        return own.union(*(error_codes(part) for part in value.values()))
    return set[int]().union(*map(error_codes, value)) if isinstance(value, list) else set()
