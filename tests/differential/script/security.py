"""What a server without security answers: ACLs, SASL, quotas, SCRAM, tokens; and no transactions."""

from typing import Any

from ..keys import Key
from ..session import Session


def security(s: Session) -> None:
    """Asks for all of it."""
    _acls(s)
    for version, mechanism in ((0, "PLAIN"), (1, "PLAIN"), (1, ""), (1, "SCRAM-SHA-256")):
        s.ask(f"handshake {version} {mechanism}", Key.SASL_HANDSHAKE, version, {"mechanism": mechanism})
    for version in range(3):
        s.ask(f"authenticate {version}", Key.SASL_AUTHENTICATE, version, {"auth_bytes": b"\0a\0b"})
    _quotas(s)
    _credentials(s)
    renewer = {"principal_type": "User", "principal_name": "a"}
    for version in (1, 2, 3):
        message = {"renewers": [renewer], "max_lifetime_ms": 1000}
        s.ask(f"token {version}", Key.CREATE_DELEGATION_TOKEN, version, message)
        s.ask(f"tokens {version}", Key.DESCRIBE_DELEGATION_TOKEN, version, {"owners": None})
    s.ask("tokens of nobody", Key.DESCRIBE_DELEGATION_TOKEN, 3, {"owners": []})
    s.ask("renew", Key.RENEW_DELEGATION_TOKEN, 2, {"hmac": b"x", "renew_period_ms": 1})
    s.ask("expire", Key.EXPIRE_DELEGATION_TOKEN, 2, {"hmac": b"x", "expiry_time_period_ms": 1})
    filters: tuple[tuple[str, dict[str, Any]], ...] = (
        ("all", {}),
        ("by state", {"state_filters": ["Ongoing", "Nonsense"]}),
        ("by a bad pattern", {"transactional_id_pattern": "["}),
        ("by pattern", {"state_filters": ["ongoing"], "duration_filter": 5, "transactional_id_pattern": "a.*"}),
    )
    for label, wanted in filters:
        s.ask(f"transactions: {label}", Key.LIST_TRANSACTIONS, 2, wanted)


def _acls(s: Session) -> None:
    whole = {"resource_type_filter": 1, "pattern_type_filter": 1, "operation": 1, "permission_type": 1}
    for version in (1, 3):
        s.ask(f"acls {version}", Key.DESCRIBE_ACLS, version, whole)
    unknown = {"resource_type_filter": 0, "pattern_type_filter": 0, "operation": 0, "permission_type": 0}
    s.ask("unknown acls", Key.DESCRIBE_ACLS, 3, unknown)
    acl = {
        "resource_type": 2,
        "resource_name": "acls",
        "resource_pattern_type": 3,
        "operation": 3,
        "permission_type": 3,
    }
    acl |= {"principal": "User:a", "host": "*"}
    s.ask("create acls", Key.CREATE_ACLS, 3, {"creations": [acl, acl]})
    s.ask("create a bad acl", Key.CREATE_ACLS, 3, {"creations": [{**acl, "resource_name": "", "principal": "bad"}]})
    s.ask("create no acls", Key.CREATE_ACLS, 3, {"creations": []})
    s.ask("delete acls", Key.DELETE_ACLS, 3, {"filters": [whole, whole]})
    s.ask("delete no acls", Key.DELETE_ACLS, 3, {"filters": []})


def _quotas(s: Session) -> None:
    def component(kind: str, match_type: int, match: str | None) -> dict[str, Any]:
        return {"entity_type": kind, "match_type": match_type, "match": match}

    for label, components in (
        ("all", []),
        ("users", [component("user", 2, None)]),
        ("a client", [component("client-id", 0, "x")]),
        ("nonsense", [component("nonsense", 0, "x")]),
        ("a kind that there is none of", [component("user", 9, "x")]),
        ("nothing", [component("", 0, "x")]),
        ("twice", [component("user", 0, "x")] * 2),
        ("null", [component("user", 0, None)]),
        ("default with a name", [component("user", 1, "x")]),
        ("an address and a user", [component("ip", 0, "x"), component("user", 0, "x")]),
    ):
        s.ask(f"quotas: {label}", Key.DESCRIBE_CLIENT_QUOTAS, 1, {"components": components, "strict": True})

    def alter(label: str, kind: str, key: str, value: float = 1000.0) -> None:
        entry = {"entity": [{"entity_type": kind, "entity_name": "a"}], "ops": [{"key": key, "value": value}]}
        message = {"entries": [entry], "validate_only": True}
        s.ask(f"set quotas: {label}", Key.ALTER_CLIENT_QUOTAS, 1, message)

    alter("a rate", "user", "producer_byte_rate")
    alter("nonsense", "user", "nonsense")
    alter("of nonsense", "nonsense", "producer_byte_rate")
    alter("a negative rate", "user", "producer_byte_rate", -5.0)
    s.ask("set no quotas", Key.ALTER_CLIENT_QUOTAS, 1, {"entries": []})


def _credentials(s: Session) -> None:
    for label, users in (
        ("all", None),
        ("none", []),
        ("some", [{"name": "a"}, {"name": "a"}, {"name": "b"}]),
        ("no name", [{"name": ""}]),
    ):
        s.ask(f"credentials: {label}", Key.DESCRIBE_USER_SCRAM_CREDENTIALS, 0, {"users": users})
    salted = {"salt": b"1", "salted_password": b"2"}
    for label, message in (
        ("delete one", {"deletions": [{"name": "a", "mechanism": 1}]}),
        ("nothing", {}),
        ("delete wrong ones", {"deletions": [{"name": "a", "mechanism": 9}, {"name": "", "mechanism": 1}]}),
        ("too few iterations", {"upsertions": [{"name": "c", "mechanism": 1, "iterations": 1, **salted}]}),
    ):
        s.ask(f"set credentials: {label}", Key.ALTER_USER_SCRAM_CREDENTIALS, 0, message)
