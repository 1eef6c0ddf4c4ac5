"""What a run prints."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from logserver.kafka_api.registry import APIS

from .compare import Difference
from .explained import Explained, Sorted
from .session import Exchange

_SHOWN_LABELS: Final = 4
_SHOWN_CHARACTERS: Final = 160


def text(exchanges: Sequence[Exchange], found: Sorted, *, has_all: bool) -> str:
    """Returns the report for a person.

    Args:
        exchanges: those with Apache Kafka.
        has_all: whether all of the script ran, so that what explains nothing is worth telling.
    """
    lines: list[str] = []
    if found.explained:
        lines.append("Explained in docs/compatibility.md:")
        rows: dict[str, int] = {}
        for each, _ in found.explained:
            rows[each.row] = rows.get(each.row, 0) + 1
        lines += [f"  {count:4} fields  {row}" for row, count in sorted(rows.items())]
        lines.append("")
    if found.unexplained:
        lines.append("Not explained:")
        lines += _grouped(found.unexplained)
        lines.append("")
    if has_all and found.needless:
        lines.append("Explanations of what does not occur (to be removed from tests/differential/known.py):")
        lines += [f"  {each.row}: {each.api} {each.fields} ({each.about})" for each in found.needless]
        lines.append("")
    asked = {(exchange.part, exchange.label) for exchange in exchanges}
    explained = {(difference.part, difference.label) for _, difference in found.explained}
    unexplained = {(difference.part, difference.label) for difference in found.unexplained}
    keys = {exchange.api_key for exchange in exchanges}
    versions = {(exchange.api_key, exchange.version) for exchange in exchanges}
    missing = sorted(key for key in APIS if key not in keys)
    if has_all and missing:
        lines.append(f"Served here, and not asked by the script: {', '.join(APIS[key].name for key in missing)}")
    lines.append(
        f"{len(asked)} requests of {len(keys)} keys in {len(versions)} versions: "
        f"{len(asked - explained - unexplained)} answers are equal, {len(explained - unexplained)} differ as "
        f"explained, {len(unexplained)} differ without an explanation"
    )
    return "\n".join(lines)


def _grouped(differences: Iterable[Difference]) -> list[str]:
    """Returns the differences, those of the same field and values in one place."""
    groups: dict[tuple[str, str, str, str], list[Difference]] = {}
    for difference in differences:
        groups.setdefault((difference.api, difference.field, difference.kafka, difference.ours), []).append(difference)
    lines = []
    for (api, field, kafka, ours), members in groups.items():
        lines.append(f"  {api} {field}")
        lines.append(f"      Kafka: {_short(kafka)}")
        lines.append(f"      here:  {_short(ours)}")
        labels = [f"{each.part}/{each.label} (v{each.version})" for each in members]
        more = len(labels) - _SHOWN_LABELS
        lines += [f"      in {label}" for label in labels[:_SHOWN_LABELS]]
        if more > 0:
            lines.append(f"      and {more} more")
    return lines


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN_CHARACTERS else f"{value[:_SHOWN_CHARACTERS]}..."


def document(exchanges: Sequence[Exchange], found: Sorted) -> dict[str, Any]:
    """Returns the report for a program."""
    return {
        "requests": len(exchanges),
        "unexplained": [_fields(difference) for difference in found.unexplained],
        "explained": [{"row": each.row, **_fields(difference)} for each, difference in found.explained],
        "needless": [_explanation(each) for each in found.needless],
    }


def _fields(difference: Difference) -> dict[str, Any]:
    return {
        "part": difference.part,
        "label": difference.label,
        "api": difference.api,
        "version": difference.version,
        "field": difference.field,
        "kafka": difference.kafka,
        "ours": difference.ours,
    }


def _explanation(each: Explained) -> dict[str, str]:
    return {"row": each.row, "api": each.api, "fields": each.fields, "about": each.about}
