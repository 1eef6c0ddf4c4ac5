"""What there is not, answered as by an Apache Kafka without it: ACLs, SASL, tokens, quotas, transactions."""

from collections.abc import Callable
from typing import Any

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct

from .raw_client import RawClient, served_versions

ACL = {
    "resource_type": 2,
    "resource_name": "t",
    "principal": "User:a",
    "host": "*",
    "operation": 3,
    "permission_type": 3,
}
ACL_FILTER = {"resource_type_filter": 1, "pattern_type_filter": 1, "operation": 1, "permission_type": 1}
RENEWER = {"principal_type": "User", "principal_name": "a"}


@pytest.mark.parametrize(
    ("key", "request_fields", "codes_of", "code"),
    [
        (17, {"mechanism": "PLAIN"}, lambda r: [r.error_code], ErrorCode.illegal_sasl_state),
        (36, {"auth_bytes": b"\0a\0b"}, lambda r: [r.error_code], ErrorCode.illegal_sasl_state),
        (29, ACL_FILTER, lambda r: [r.error_code], ErrorCode.security_disabled),
        (30, {"creations": [ACL] * 2}, lambda r: [x.error_code for x in r.results], ErrorCode.security_disabled),
        (
            31,
            {"filters": [ACL_FILTER]},
            lambda r: [x.error_code for x in r.filter_results],
            ErrorCode.security_disabled,
        ),
        (
            38,
            {"renewers": [RENEWER], "max_lifetime_ms": 1},
            lambda r: [r.error_code],
            ErrorCode.delegation_token_request_not_allowed,
        ),
        (39, {"hmac": b"x"}, lambda r: [r.error_code], ErrorCode.delegation_token_request_not_allowed),
        (40, {"hmac": b"x"}, lambda r: [r.error_code], ErrorCode.delegation_token_request_not_allowed),
        (41, {"owners": None}, lambda r: [r.error_code], ErrorCode.delegation_token_request_not_allowed),
    ],
)
def test_at_every_version(
    client: RawClient,
    key: int,
    request_fields: dict[str, Any],
    codes_of: Callable[[Struct], list[int]],
    code: ErrorCode,
) -> None:
    for version in served_versions(key):
        codes = codes_of(client.call(key, version, request_fields))
        assert codes and set(codes) == {code.value}


def described_quotas(client: RawClient, version: int, *components: tuple[str, int, str | None]) -> Struct:
    asked = [{"entity_type": kind, "match_type": how, "match": name} for kind, how, name in components]
    response: Struct = client.call(48, version, {"components": asked, "strict": False})
    return response


def test_there_are_no_quotas(client: RawClient) -> None:
    for version in served_versions(48):
        response = described_quotas(client, version, ("user", 0, "a"), ("client-id", 2, None))
        assert (response.error_code, list(response.entries)) == (0, [])


@pytest.mark.parametrize(
    ("components", "code"),
    [
        ([("nonsense", 0, "x")], ErrorCode.unsupported_version),
        ([("", 0, "x")], ErrorCode.invalid_request),
        ([("user", 9, "x")], ErrorCode.invalid_request),
        ([("user", 0, None)], ErrorCode.invalid_request),
        ([("user", 1, "x")], ErrorCode.invalid_request),
        ([("user", 0, "x"), ("user", 0, "x")], ErrorCode.invalid_request),
        ([("ip", 0, "x"), ("user", 0, "x")], ErrorCode.invalid_request),
    ],
)
def test_questions_about_quotas_that_are_none(
    client: RawClient, components: list[tuple[str, int, str | None]], code: ErrorCode
) -> None:
    response = described_quotas(client, 1, *components)
    assert (response.error_code, response.entries) == (code.value, None)


@pytest.mark.parametrize(
    ("kind", "key", "remove", "code"),
    [
        ("user", "producer_byte_rate", False, ErrorCode.unsupported_version),
        ("user", "producer_byte_rate", True, ErrorCode.none),
        ("user", "nonsense", False, ErrorCode.invalid_request),
        ("nonsense", "producer_byte_rate", False, ErrorCode.invalid_request),
    ],
)
def test_quotas_are_not_kept(client: RawClient, kind: str, key: str, remove: bool, code: ErrorCode) -> None:
    entity = [{"entity_type": kind, "entity_name": "a"}]
    entry = {"entity": entity, "ops": [{"key": key, "value": 1000.0, "remove": remove}]}
    for version in served_versions(49):
        (result,) = client.call(49, version, {"entries": [entry], "validate_only": True}).entries
        assert (result.error_code, result.entity[0].entity_type) == (code.value, kind)


def test_nobody_has_scram_credentials(client: RawClient) -> None:
    assert list(client.call(50, 0, {"users": None}).results) == []
    results = client.call(50, 0, {"users": [{"name": "a"}, {"name": "b"}, {"name": "b"}]}).results
    assert [(result.user, ErrorCode(result.error_code)) for result in results] == [
        ("a", ErrorCode.resource_not_found),
        ("b", ErrorCode.duplicate_resource),
    ]
    new = {"name": "c", "mechanism": 1, "iterations": 4096, "salt": b"s", "salted_password": b"p"}
    deletions = [{"name": "a", "mechanism": 1}, {"name": "b", "mechanism": 9}, {"name": "", "mechanism": 1}]
    results = client.call(51, 0, {"deletions": deletions, "upsertions": [new]}).results
    assert {result.user: ErrorCode(result.error_code) for result in results} == {
        "a": ErrorCode.resource_not_found,
        "b": ErrorCode.unsupported_sasl_mechanism,
        "": ErrorCode.unacceptable_credential,
        "c": ErrorCode.unsupported_sasl_mechanism,
    }


def test_there_are_no_transactions(client: RawClient) -> None:
    for version in served_versions(66):
        response = client.call(66, version, {"state_filters": ["Ongoing", "ongoing"], "producer_id_filters": []})
        assert (response.error_code, list(response.transaction_states)) == (0, [])
        assert response.unknown_state_filters == ["ongoing"]
    wrong = client.call(66, 2, {"transactional_id_pattern": "["})
    assert wrong.error_code == ErrorCode.invalid_regular_expression.value
    states = client.call(65, 0, {"transactional_ids": ["a", ""]}).transaction_states
    assert [(state.transactional_id, ErrorCode(state.error_code)) for state in states] == [
        ("a", ErrorCode.transactional_id_not_found),
        ("", ErrorCode.invalid_request),
    ]
