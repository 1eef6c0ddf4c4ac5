"""Records: what was acknowledged or read is there, once, in order, and nothing else is."""

from collections.abc import Callable

from logserver.simulation.checks.state import PartitionState, State
from logserver.simulation.ledger import Ledger, Moment, Violation
from logserver.simulation.world import COMPACTED, TOPICS, places


def check_records(state: State, ledger: Ledger, at: Moment) -> None:
    """Checks the records of a state against what was known when it was left.

    Raises:
        Violation: a promise is broken.
    """
    for topic in TOPICS:
        for place in places(topic):
            found = state.partitions.get(place)
            if found is None:
                if any(one.acked_at <= at for one in ledger.by_offset.get(place, {}).values()):
                    raise Violation("lost partition", f"{place} is not there", place)
                continue
            _check_start(found, ledger, at)
            _check_origin(found, ledger, at)
            _check_order(found, ledger)
            if topic == COMPACTED:
                _check_compacted(found, ledger, at)
            else:
                _check_kept(found, ledger, at)


def _check_start(found: PartitionState, ledger: Ledger, at: Moment) -> None:
    place = found.place
    limit = ledger.deleted_before(place)
    if found.start > limit:
        raise Violation("lost records", f"{place} begins at {found.start}, nobody asked for more than {limit}", place)
    least = max((offset for offset, _, answered in ledger.deletions.get(place, ()) if answered <= at), default=0)
    if found.start < least:
        raise Violation("lost deletion", f"{place} begins at {found.start}, it was deleted up to {least}", place)


def _check_origin(found: PartitionState, ledger: Ledger, at: Moment) -> None:
    """Nothing appears that was not sent there, and nothing twice."""
    place = found.place
    offsets: dict[str, int] = {}
    for offset, stored in found.records.items():
        sent = ledger.sent.get(stored.value)
        if sent is None or sent.place != place or sent.key != stored.key or sent.sent_at > at:
            raise Violation("unknown record", f"{stored.value!r} at {offset} of {place} was not sent there", place)
        before = offsets.setdefault(stored.value, offset)
        if before != offset:
            raise Violation("duplicate", f"{stored.value} is at {before} and at {offset} of {place}", place)


def _check_order(found: PartitionState, ledger: Ledger) -> None:
    last: dict[str, tuple[int, str]] = {}
    for offset in sorted(found.records):
        sent = ledger.sent[found.records[offset].value]
        if not sent.is_idempotent:
            # Given up and perhaps overtaken on the way: it makes no promise about the order.
            continue
        number, value = last.get(sent.writer, (-1, ""))
        if sent.number <= number:
            raise Violation(
                "reordering", f"{sent.value} at {offset} of {found.place} is behind {value}", found.place, sent.writer
            )
        last[sent.writer] = (sent.number, sent.value)


def _known(found: PartitionState, ledger: Ledger, at: Moment) -> dict[int, tuple[str, str]]:
    """Returns by offset what has to be there, and why."""
    place = found.place
    known = {
        offset: (seen.value, f"{seen.by} got it")
        for offset, seen in ledger.seen.get(place, {}).items()
        if seen.first_at <= at
    }
    known |= {
        offset: (sent.value, "it was acknowledged")
        for offset, sent in ledger.by_offset.get(place, {}).items()
        if sent.acked_at <= at
    }
    return {offset: what for offset, what in known.items() if offset >= found.start}


def _check_kept(found: PartitionState, ledger: Ledger, at: Moment) -> None:
    for offset, (value, reason) in sorted(_known(found, ledger, at).items()):
        _check_one(found, offset, value, reason)


def _check_one(found: PartitionState, offset: int, value: str, reason: str) -> None:
    stored = found.records.get(offset)
    if stored is None or stored.value != value:
        kind = "lost acknowledged record" if reason == "it was acknowledged" else "lost record that was read"
        there = stored.value if stored is not None else f"nothing, the log ends at {found.end}"
        raise Violation(kind, f"{value} is not at {offset} of {found.place}, but {there}; {reason}", found.place)


def _check_compacted(found: PartitionState, ledger: Ledger, at: Moment) -> None:
    """What is there is what was; of each key the last is, and older ones only together with it."""
    known = _known(found, ledger, at)
    last_offsets: dict[str, int] = {}
    for offset, (value, reason) in known.items():
        sent = ledger.sent[value]
        assert sent.key is not None
        last_offsets[sent.key] = max(offset, last_offsets.get(sent.key, -1))
        if offset in found.records:
            _check_one(found, offset, value, reason)
    there: dict[str, list[int]] = {}
    for offset, stored in found.records.items():
        assert stored.key is not None
        there.setdefault(stored.key, []).append(offset)
    for key, last in last_offsets.items():
        offsets = there.get(key, [])
        if any(offset >= last for offset in offsets):
            continue
        value, reason = known[last]
        if offsets:
            raise Violation(
                "older record came back",
                f"{found.place} has {key} at {max(offsets)} and not {value} at {last}; {reason}",
                found.place,
            )
        if not ledger.sent[value].is_tombstone:
            _check_one(found, last, value, reason)


def check_readings(state: State, ledger: Ledger) -> None:
    """Checks that no reader has missed what was there, or got what was aborted.

    Raises:
        Violation: one did.
    """
    for reading in ledger.readings:
        found = state.partitions[reading.place]
        for offset, value in reading.offsets.items():
            if not reading.is_committed_only or offset not in found.records:
                continue
            if not found.is_committed(offset):
                raise Violation(
                    "aborted read", f"{reading.reader} got {value} at {offset} of {reading.place}", reading.place
                )
        if reading.place[0] == COMPACTED:
            continue
        visible: Callable[[int], bool] = found.is_committed if reading.is_committed_only else found.records.__contains__
        for offset in found.records:
            if reading.start <= offset < reading.position and visible(offset) and offset not in reading.offsets:
                raise Violation(
                    "skipped record",
                    f"{reading.reader} read {reading.place} from {reading.start} to {reading.position} and did not get "
                    f"{found.records[offset].value} at {offset}",
                    reading.place,
                )
