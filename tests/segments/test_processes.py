"""Worker processes: what goes there and comes back, and what is left when one ends in the middle of it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from logserver_segments.processes import ProcessWorkers
from logserver_segments.scan import ScanStopped
from logserver_segments.seams import WorkerDied


def where(number: int) -> tuple[int, int, int]:
    """Returns the number, the process that this runs in and how nice that is."""
    return number, os.getpid(), os.nice(0)


def count(end: int) -> Iterator[tuple[int, int]]:
    for number in range(end):
        print("what anybody prints does not disturb")
        yield number, os.getpid()


def fail(kind: str) -> None:
    if kind == "told":
        raise ScanStopped(7, "damaged")

    class Unknown(Exception):
        pass

    raise Unknown("nobody else knows this one")


def die(number: int) -> Iterator[int]:
    yield number
    os.kill(os.getpid(), signal.SIGKILL)
    yield number


def hang(path: str) -> None:
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    signal.pause()


@pytest.fixture
async def workers() -> AsyncIterator[ProcessWorkers]:
    made = ProcessWorkers()
    yield made
    made.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_function_runs_in_another_process_that_lets_others_go_first(workers: ProcessWorkers) -> None:
    assert workers.pid is None
    number, pid, niceness = await workers.run(where, 5)
    assert (number, pid) == (5, workers.pid) and pid != os.getpid()
    assert niceness > os.nice(0)
    # One process for all, one after the other.
    found = await asyncio.gather(*(workers.run(where, number) for number in range(5)))
    assert found == [(number, pid, niceness) for number in range(5)]


async def test_values_come_one_by_one(workers: ProcessWorkers) -> None:
    found = [value async for value in workers.steps(count, 3)]
    assert found == [(number, workers.pid) for number in range(3)]


async def test_whoever_stops_in_the_middle_ends_the_process(workers: ProcessWorkers) -> None:
    steps = workers.steps(count, 3)
    _, pid = await anext(steps)
    await steps.aclose()
    assert workers.pid is None
    # By the thread that talks to it, before it does the next thing.
    assert (await workers.run(where, 1))[1] != pid
    assert not is_running(pid)


async def test_errors_come_back_as_they_were_or_say_what_they_were(workers: ProcessWorkers) -> None:
    with pytest.raises(ScanStopped, match="position 7: damaged") as caught:
        await workers.run(fail, "told")
    assert (caught.value.position, caught.value.reason) == (7, "damaged")
    pid = workers.pid
    with pytest.raises(RuntimeError, match="Unknown: nobody else knows this one"):
        await workers.run(fail, "unknown")
    assert pid is not None and workers.pid == pid


async def test_a_process_that_dies_is_told_and_followed_by_another(workers: ProcessWorkers) -> None:
    steps = workers.steps(die, 1)
    assert await anext(steps) == 1
    with pytest.raises(WorkerDied, match="status -9"):
        await anext(steps)
    assert (await workers.run(where, 2))[0] == 2


async def test_work_that_is_given_up_ends_with_its_process(workers: ProcessWorkers, tmp_path: object) -> None:
    path = f"{tmp_path}/pid"
    os.mkfifo(path)
    task = asyncio.ensure_future(workers.run(hang, path))
    pid = int(await asyncio.to_thread(lambda: open(path).read()))  # noqa: SIM115 - ends with the function
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await workers.run(where, 3))[0] == 3
    assert not is_running(pid)


async def test_closing_ends_what_is_under_way(tmp_path: object) -> None:
    workers = ProcessWorkers()
    path = f"{tmp_path}/pid"
    os.mkfifo(path)
    task = asyncio.ensure_future(workers.run(hang, path))
    pid = int(await asyncio.to_thread(lambda: open(path).read()))  # noqa: SIM115 - ends with the function
    workers.close()
    with pytest.raises(WorkerDied):
        await task
    assert not is_running(pid)
    with pytest.raises(WorkerDied, match="closed"):
        await workers.run(where, 1)


def test_it_does_not_outlive_a_server_that_is_killed(tmp_path: object) -> None:
    path = f"{tmp_path}/pid"
    os.mkfifo(path)
    program = (
        "import asyncio, sys\n"
        "from logserver_segments.processes import ProcessWorkers\n"
        "from tests.segments.test_processes import hang\n"
        "asyncio.run(ProcessWorkers().run(hang, sys.argv[1]))\n"
    )
    server = subprocess.Popen([sys.executable, "-c", program, path])
    with open(path) as file:
        pid = int(file.read())
    # It ends when its pipe does; until then it holds what it inherited.
    ended = os.pidfd_open(pid)
    server.kill()
    server.wait()
    import select

    assert select.select([ended], [], [], 60)[0]
    os.close(ended)
