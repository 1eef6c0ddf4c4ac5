"""What a measurement was made on: machine, versions, command."""

import contextlib
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
REPORT: Final = "benchmarks/report"
"""The folder of the committed report, below ROOT."""

_OURS: Final = "logserver-broker"
_DISTRIBUTIONS: Final = (_OURS, "grpcio", "protobuf", "uvloop", "aiokafka", "crc32c")
_CLIENTS: Final = ("confluent-kafka", "redis", "hiredis", "nats-py", "pika")
"""Of peers; a benchmark with peers takes those that are installed."""


def machine(directory: Path) -> dict[str, str]:
    """Returns what there is to say of this machine.

    Args:
        directory: where the measurement keeps its data; its file system is named.
    """
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores usable",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "data on": _file_system(directory),
        "load before": f"{load} (1, 5, 15 minutes)",
    }


def versions() -> dict[str, str]:
    """Returns the versions of this server, of what it is built on, and of the clients."""
    found = {"python": platform.python_version()}
    found.update((name, version(name)) for name in _DISTRIBUTIONS)
    for name in _CLIENTS:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    if "confluent-kafka" in found:
        from confluent_kafka import libversion

        found["librdkafka"] = libversion()[0]
    revision = _revision()
    if revision:
        found["revision"] = revision
    return found


def our_version() -> str:
    """Returns the name and version of this server."""
    return f"{_OURS} {version(_OURS)}"


def child_environment() -> dict[str, str]:
    """Returns the environment of processes that are to find these modules too.

    They keep compiled modules as an installation has them, also where this process is told not to: compiling takes as
    long as the rest of a server's start.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": ""}


def command(module: str) -> str:
    """Returns the command line that started this process."""
    return f"python -m {module} {shlex.join(sys.argv[1:])}".strip()


def now() -> str:
    """Returns the date and time for a report, to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _file_system(directory: Path) -> str:
    """Returns type and device of the file system that holds a directory."""
    best, found = -1, "unknown"
    path = directory.resolve()
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, mounted_at, kind = line.split()[:3]
        if path.is_relative_to(mounted_at) and len(mounted_at) > best:
            best, found = len(mounted_at), f"{kind} ({device})"
    return found + (", in memory: flushing costs nothing there" if found.startswith("tmpfs") else "")


def _revision() -> str | None:
    """Returns the checked-out revision, and whether files are changed, but for the report itself; None without one."""
    revision = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":(exclude){REPORT}")
    return None if not revision else f"{revision}-dirty" if changed else revision


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
