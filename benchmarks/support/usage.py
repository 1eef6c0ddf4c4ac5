"""What a process and its children take of the machine, from /proc."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeVar

T = TypeVar("T")

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/stat behind the name in parentheses, which may hold anything.
_PARENT_FIELD: Final = 1
_USER_FIELDS: Final = (11, 13)
"""Of the process, and of its children that have ended and were waited for."""
_SYSTEM_FIELDS: Final = (12, 14)


class Cpu(NamedTuple):
    """Processor time in seconds, of all threads."""

    user_s: float
    system_s: float

    @property
    def total_s(self) -> float:
        return self.user_s + self.system_s

    def since(self, earlier: "Cpu") -> "Cpu":
        """Returns what was used since an earlier look."""
        return Cpu(self.user_s - earlier.user_s, self.system_s - earlier.system_s)


class Memory(NamedTuple):
    """Resident memory in bytes: the process's own, and mapped file pages, which the kernel can take back."""

    anonymous: int
    file: int


def cpu_of(pid: int) -> Cpu:
    """Returns the processor time so far of a process and of all its children, those that have ended included.

    In steps of 10 ms as a rule. What a server has a process of its own do is its work, too.
    """
    found = [_stat(pid), *_of_living(_children(pid), _stat)]
    user, system = (
        sum(int(fields[number]) for fields in found for number in numbers) / _TICKS_PER_S
        for numbers in (_USER_FIELDS, _SYSTEM_FIELDS)
    )
    return Cpu(user, system)


def own_cpu() -> Cpu:
    """Returns the processor time of this process so far."""
    times = os.times()
    return Cpu(times.user, times.system)


def memory_of(pid: int) -> Memory:
    """Returns the resident memory of a process and of all its children."""
    found = [_memory(pid), *_of_living(_children(pid), _memory)]
    return Memory(sum(it.anonymous for it in found), sum(it.file for it in found))


def _memory(pid: int) -> Memory:
    found = {"RssAnon": 0, "RssFile": 0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) * 1024
    return Memory(found["RssAnon"], found["RssFile"])


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _children(pid: int) -> list[int]:
    """Returns the processes that a process has started, and those that they have."""
    of_parent: dict[int, list[int]] = {}
    for number in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()):
        for fields in _of_living([number], _stat):
            of_parent.setdefault(int(fields[_PARENT_FIELD]), []).append(number)
    found = [pid]
    for parent in found:
        found += of_parent.get(parent, [])
    return found[1:]


def _of_living(pids: Iterable[int], look: Callable[[int], T]) -> Iterator[T]:
    """Yields what there is to say of processes, without those that end meanwhile."""
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield look(pid)


def kernel_memory() -> int:
    """Returns the bytes that the kernel of the whole machine has in use for its own objects, sockets among them."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Slab":
            return int(value.split()[0]) * 1024
    return 0


@dataclass(slots=True)
class Traffic:
    """Messages on the streams of one client, as encoded."""

    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    unanswered: int = 0
    """Produce requests that are under way."""
    unanswered_most: int = 0


class Meter:
    """Measures what happens inside of a `with`: seconds, and processor time of this process and of the server's."""

    def __init__(self, server_pid: int) -> None:
        self._server_pid = server_pid
        self.seconds = 0.0
        self.client = Cpu(0, 0)
        self.server = Cpu(0, 0)

    def __enter__(self) -> "Meter":
        # In this order: looking at the server is not the client's work.
        self.server, self.client = cpu_of(self._server_pid), own_cpu()
        self.seconds = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self.seconds
        self.client = own_cpu().since(self.client)
        self.server = cpu_of(self._server_pid).since(self.server)

    def to_json(self, traffic: Traffic | None) -> dict[str, Any]:
        """Returns what was measured, for the process that compares."""
        return {
            "seconds": self.seconds,
            "client": self.client._asdict(),
            "server": self.server._asdict(),
            "traffic": None if traffic is None else asdict(traffic),
        }
