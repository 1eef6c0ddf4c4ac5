"""The buffer memory: a limit, and who waits for room is woken."""

from logserver_client._produce.pool import BufferPool


def test_bytes_are_granted_up_to_the_limit() -> None:
    pool = BufferPool(100)
    assert pool.try_reserve(60)
    assert not pool.try_reserve(60)
    assert pool.try_reserve(40)
    assert pool.free_bytes == 0


def test_who_was_refused_is_woken_once_when_bytes_come_back() -> None:
    pool = BufferPool(100)
    woken: list[str] = []
    pool.try_reserve(100)
    assert not pool.try_reserve(1, lambda: woken.append("a"))
    assert not pool.try_reserve(1, lambda: woken.append("b"))
    pool.release(10)
    assert woken == ["a", "b"]
    pool.release(10)
    assert woken == ["a", "b"]


def test_a_size_over_the_limit_is_granted_when_it_is_alone() -> None:
    pool = BufferPool(100)
    assert pool.try_reserve(1)
    assert not pool.try_reserve(500)
    pool.release(1)
    assert pool.try_reserve(500)
    assert not pool.try_reserve(1)
    pool.release(500)
    assert pool.free_bytes == 100
