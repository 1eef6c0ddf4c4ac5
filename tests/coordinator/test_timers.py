"""Deadlines by key: each comes up once, when it is due and no earlier."""

from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.timers import TimerKey, Timers


def test_keys_come_up_in_order_of_their_deadlines_and_once() -> None:
    timers = Timers()
    for at, name in ((30, "c"), (10, "a"), (20, "b")):
        timers.set((name,), at)
    assert timers.next_ms == 10
    assert timers.due(9) == []
    assert timers.due(20) == [("a",), ("b",)]
    assert timers.due(20) == [] and timers.deadline(("a",)) is None
    assert (len(timers), timers.next_ms) == (1, 30)


def test_a_deadline_moves_back_and_forth() -> None:
    timers = Timers()
    timers.set(("a",), 10)
    timers.set(("a",), 20)
    assert timers.due(19) == []
    timers.set(("a",), 15)
    assert timers.due(15) == [("a",)]
    assert timers.next_ms is None


def test_a_deadline_taken_back_does_not_come_up() -> None:
    timers = Timers()
    timers.set(("a",), 10)
    timers.cancel(("a",))
    timers.cancel(("b",))
    assert timers.next_ms is None and timers.due(100) == []
    timers.set(("a",), 20)
    assert timers.due(19) == [] and timers.due(20) == [("a",)]


def test_clearing_takes_back_all() -> None:
    timers = Timers()
    timers.set(("a",), 10)
    timers.clear()
    assert len(timers) == 0 and timers.next_ms is None and timers.due(100) == []


steps = st.lists(
    st.tuples(st.sampled_from(["set", "cancel", "due", "shift"]), st.sampled_from("abc"), st.integers(0, 30)),
    max_size=60,
)


@given(steps)
def test_what_comes_up_is_what_a_plain_table_says(steps: list[tuple[str, str, int]]) -> None:
    timers = Timers()
    table: dict[TimerKey, int] = {}
    now = 0
    for action, name, ms in steps:
        key = (name,)
        if action == "set":
            timers.set(key, now + ms)
            table[key] = now + ms
        elif action == "cancel":
            timers.cancel(key)
            table.pop(key, None)
        elif action == "shift":
            timers.shift(ms)
            table = {key: at + ms for key, at in table.items()}
            now += ms
        else:
            now += ms
            found = timers.due(now)
            assert sorted(found) == sorted(key for key, at in table.items() if at <= now)
            table = {key: at for key, at in table.items() if at > now}
        assert {key: timers.deadline(key) for key in table} == table and len(timers) == len(table)
        next_ms = timers.next_ms
        assert (next_ms is None) == (not table)
        assert next_ms is None or next_ms <= min(table.values())
    # What was set is held once, whatever was done with it.
    timers.due(now + 1_000)
    assert not timers._heap and not timers._queued
