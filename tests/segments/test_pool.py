"""A bound on open files and mappings."""

from hypothesis import given
from hypothesis import strategies as st
from logserver_segments.pool import Pool, Slot


def test_the_one_not_used_lately_goes() -> None:
    pool: Pool[str] = Pool(2)
    slots: list[Slot[str]] = [Slot() for _ in range(3)]
    pool.put(slots[0], "a")
    pool.put(slots[1], "b")
    slots[0].used = slots[1].used = False
    slots[0].used = True
    pool.put(slots[2], "c")
    assert [slot.resource for slot in slots] == ["a", None, "c"]
    assert len(pool) == 2


def test_a_dropped_one_makes_room() -> None:
    pool: Pool[str] = Pool(1)
    first, second = Slot[str](), Slot[str]()
    pool.put(first, "a")
    pool.drop(first)
    pool.drop(first)
    assert len(pool) == 0
    pool.put(second, "b")
    pool.put(first, "a")
    assert (first.resource, second.resource, len(pool)) == ("a", None, 1)


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from(["put", "drop", "use", "new"]), st.integers(0, 9))))
def test_never_more_than_the_limit_are_held(limit: int, steps: list[tuple[str, int]]) -> None:
    pool: Pool[int] = Pool(limit)
    slots: list[Slot[int]] = [Slot() for _ in range(10)]
    for step, number in steps:
        slot = slots[number]
        if step == "put" and slot.resource is None:
            assert pool.put(slot, number) == number
            assert slot.resource == number
        elif step == "drop":
            pool.drop(slot)
        elif step == "use":
            slot.used = True
        elif step == "new":
            # A segment that goes drops what it has and is forgotten.
            pool.drop(slot)
            slots[number] = Slot()
        assert len(pool) == sum(slot.resource is not None for slot in slots) <= limit


def test_slots_that_come_and_go_do_not_pile_up() -> None:
    pool: Pool[int] = Pool(10)
    for number in range(10_000):
        slot = Slot[int]()
        pool.put(slot, number)
        pool.drop(slot)
    assert len(pool._slots) < 100
