"""What a process takes of the machine, from /proc."""

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/stat behind the name in parentheses, which may hold anything.
_USER_FIELD: Final = 11
_SYSTEM_FIELD: Final = 12


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
    """Returns the processor time of a process so far, in steps of 10 ms as a rule."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Cpu(int(fields[_USER_FIELD]) / _TICKS_PER_S, int(fields[_SYSTEM_FIELD]) / _TICKS_PER_S)


def own_cpu() -> Cpu:
    """Returns the processor time of this process so far."""
    times = os.times()
    return Cpu(times.user, times.system)


def memory_of(pid: int) -> Memory:
    """Returns the resident memory of a process."""
    found = {"RssAnon": 0, "RssFile": 0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) * 1024
    return Memory(found["RssAnon"], found["RssFile"])


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
        self.client, self.server = own_cpu(), cpu_of(self._server_pid)
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
