"""What consumer groups cost: commits, rebalances, reading them back at a start, memory."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import grpc
from logserverpb.v1 import groups_pb2, groups_pb2_grpc

from benchmarks.clients.members import Group, Members
from benchmarks.support.numbers import percentile, spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Cell, Report, progress
from benchmarks.support.processes import Server, log_server
from benchmarks.support.topics import Topics
from benchmarks.support.usage import cpu_of, memory_of

CLAIM: Final = (
    "commits of 1 and of 1,000 groups; 100 members over 1,000 partitions settle after one joins, leaves or dies; a "
    "start with 100,000 committed offsets; memory of a group, a member and an offset"
)

_TOPIC: Final = "t"
_SMALL_TOPIC: Final = "small"
_SMALL_PARTITIONS: Final = 12
_SESSION_MS: Final = 6_000
_HEARTBEAT_MS: Final = 1_000
_KIB: Final = 1024
_MIB: Final = 1 << 20
_OFFSETS_A_COMMIT: Final = 100
_JOINING_AT_A_TIME: Final = 50
_TIMEOUT_S: Final = 600
_SETTLE_S: Final = 1.0

_NOTES: Final = (
    "clients are generated code on grpc.aio streams in one process, the server is another; flush.messages=1: a commit "
    "is answered when it is on disk",
    "commits: one offset each; under way: commits that wait for their answer, on one stream for one group, one on each "
    "group's stream for many",
    "settled: every partition owned, by nobody two more than by somebody else; members give up partitions at once. "
    "Dies: time from the end of the session timeout, which begins with the last heartbeat, up to 1 s before",
    "all groups answered: from the start of the process to an answer that needs all of __consumer_offsets read",
    "Median (least to most) of the rounds",
)


def small_group(members: Members, name: str) -> Group:
    """Returns a group of a topic with few partitions."""
    return Group(members, name, _SMALL_TOPIC, _SMALL_PARTITIONS)


async def measure_commits(report: Report, address: str, options: argparse.Namespace) -> None:
    """Commits as fast as answers come, for one group and for many."""
    table = report.table("Commits")
    for groups, under_way in ((1, 1), (1, 32), (options.groups, 1)):
        async with Members(address, connections=4 if groups > 1 else 1) as members:
            made = [small_group(members, f"commit-{groups}-{number}") for number in range(groups)]
            for start in range(0, groups, _JOINING_AT_A_TIME):
                await asyncio.gather(*(_joined(group, 1) for group in made[start : start + _JOINING_AT_A_TIME]))
            rates, all_latencies_ms = [], []
            for number in range(options.rounds):
                progress(f"commits, {groups} groups, {under_way} under way: round {number + 1} of {options.rounds}")
                latencies_ms = await _commit(made, under_way, options.seconds)
                rates.append(len(latencies_ms) / options.seconds)
                all_latencies_ms += latencies_ms
            for group in made:
                await group.members[0].leave()
        all_latencies_ms.sort()
        table.rows.append(
            {
                "groups": groups,
                "under way in each": under_way,
                "commits/s": spread(rates),
                "p50 ms": percentile(all_latencies_ms, 50),
                "p99 ms": percentile(all_latencies_ms, 99),
            }
        )
        report.runs.append({"groups": groups, "under_way": under_way, "commits_per_s": rates})


async def _commit(groups: list[Group], under_way: int, seconds: float) -> list[float]:
    """Returns the latencies in milliseconds of all commits that were answered in the time."""
    end_s = time.perf_counter() + seconds
    latencies_ms: list[float] = []

    async def one(group: Group) -> None:
        offset = 0
        while (began_s := time.perf_counter()) < end_s:
            offset += 1
            await group.members[0].commit(offset)
            latencies_ms.append((time.perf_counter() - began_s) * 1000)

    await asyncio.gather(*(one(group) for group in groups for _ in range(under_way)))
    return latencies_ms


async def measure_rebalances(report: Report, server: Server, options: argparse.Namespace) -> None:
    """Has members join, leave and die, and waits until the others have settled."""
    took: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}

    async def timed(what: str, change: Coroutine[Any, Any, None]) -> None:
        before = cpu_of(server.pid)
        began_s = time.perf_counter()
        async with asyncio.timeout(_TIMEOUT_S):
            await change
        took.setdefault(what, []).append((time.perf_counter() - began_s) * 1000)
        after = cpu_of(server.pid)
        cpu.setdefault(what, []).append((sum(after) - sum(before)) * 1000)

    async with Members(server.address, connections=4) as members:
        for number in range(options.rounds):
            progress(f"rebalances: round {number + 1} of {options.rounds}")
            group = Group(members, f"rebalance-{number}", _TOPIC, options.partitions)
            await timed(f"{options.members} join at once", _joined(group, options.members))
            await timed("one joins", _joined(group, 1))
            leaver = group.members.pop()
            await timed("one leaves", _left(group, leaver.leave))
            victim = group.members.pop()
            victim.die()
            died_s = time.perf_counter()
            await group.settled()
            took.setdefault("one dies", []).append((time.perf_counter() - died_s) * 1000 - _SESSION_MS)
            await asyncio.gather(*(member.leave() for member in group.members))
    table = report.table(f"{options.members} members over {options.partitions:,} partitions")
    for what, milliseconds in took.items():
        row: dict[str, Cell] = {"what": what, "settled after ms": spread(milliseconds)}
        table.rows.append({**row, "server CPU ms": spread(cpu[what]) if what in cpu else None})
        report.runs.append({"what": what, "milliseconds": milliseconds})


async def _joined(group: Group, count: int) -> None:
    await group.join(count)
    await group.settled()


async def _left(group: Group, leave: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await leave()
    await group.settled()


async def measure_memory(report: Report, server: Server, options: argparse.Namespace) -> None:
    """Looks at the server's memory while there are many groups, many members and many offsets."""
    table = report.table("Memory of the server")

    def tell(what: str, count: int, before: int) -> int:
        now = memory_of(server.pid).anonymous
        row: dict[str, Cell] = {"what": what, "RssAnon MiB": now / _MIB, "KiB each": (now - before) / count / _KIB}
        table.rows.append(row)
        report.runs.append({**row, "count": count})
        return now

    async with Members(server.address, connections=4) as members:
        before = memory_of(server.pid).anonymous
        groups = [small_group(members, f"memory-{number}") for number in range(options.groups)]
        for start in range(0, len(groups), _JOINING_AT_A_TIME):
            await asyncio.gather(*(_joined(group, 1) for group in groups[start : start + _JOINING_AT_A_TIME]))
        what = f"{options.groups:,} groups of one member with its stream, 12 partitions each"
        before = tell(what, options.groups, before)
        one = Group(members, "memory", _TOPIC, options.partitions)
        for _ in range(0, options.groups, _JOINING_AT_A_TIME):
            await one.join(_JOINING_AT_A_TIME)
        await one.settled()
        tell(f"one group of {len(one.members):,} members with their streams", len(one.members), before)


async def fill_offsets(stub: Any, options: argparse.Namespace) -> None:
    """Commits offsets of groups without members, many at a time."""
    offsets_a_commit = min(_OFFSETS_A_COMMIT, options.partitions)
    group_count = options.offsets // offsets_a_commit or 1
    for start in range(0, group_count, _JOINING_AT_A_TIME):
        await asyncio.gather(
            *(
                stub.CommitOffsets(
                    groups_pb2.CommitOffsetsRequest(
                        group_id=f"offsets-{number}",
                        offsets=[
                            groups_pb2.OffsetCommit(topic=_TOPIC, partition=partition, offset=7)
                            for partition in range(offsets_a_commit)
                        ],
                    )
                )
                for number in range(start, min(start + _JOINING_AT_A_TIME, group_count))
            )
        )


async def _count_offsets(address: str) -> int:
    """Returns how many offsets all groups have, once they can be had."""
    async with grpc.aio.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        stub: Any = groups_pb2_grpc.GroupsStub(channel)  # type: ignore[no-untyped-call]
        listed = await stub.ListGroups(groups_pb2.ListGroupsRequest())
        count = 0
        for group in listed.groups:
            request = groups_pb2.FetchOffsetsRequest(group_id=group.group_id)
            count += len((await stub.FetchOffsets(request)).offsets)
        return count


async def _fill(address: str, options: argparse.Namespace) -> None:
    async with Members(address) as members:
        await fill_offsets(members.stub, options)


def measure_starts(report: Report, data: Path, log: Path, options: argparse.Namespace) -> None:
    """Starts the server with committed offsets, cleanly and after SIGKILL; looks at the memory that they take."""
    progress(f"committing {options.offsets:,} offsets")
    with log_server(data, log) as server:
        with Topics(server.address) as topics:
            topics.create(_TOPIC, options.partitions)
        before = memory_of(server.pid).anonymous
        asyncio.run(_fill(server.address, options))
        now = memory_of(server.pid).anonymous
        row: dict[str, Cell] = {
            "what": f"{options.offsets:,} committed offsets",
            "RssAnon MiB": now / _MIB,
            "KiB each": (now - before) / options.offsets / _KIB,
        }
        report.tables[-1].rows.append(row)
        report.runs.append(row)
    table = report.table(f"Start with {options.offsets:,} committed offsets")
    ready: dict[str, list[float]] = {}
    answered: dict[str, list[float]] = {}
    kill = False
    for number in range(2 * options.rounds + 1):
        progress(f"starts: {number} of {2 * options.rounds}")
        began_s = time.perf_counter()
        server = log_server(data, log)
        try:
            what = "after SIGKILL" if kill else "after a clean stop"
            listed = asyncio.run(_list(server.address))
            took_s = time.perf_counter() - began_s
            if number:
                ready.setdefault(what, []).append(server.ready_after_s)
                answered.setdefault(what, []).append(took_s)
            count = asyncio.run(_count_offsets(server.address))
            if count < options.offsets:
                raise RuntimeError(f"{count} offsets of {listed} groups were read back of {options.offsets}")
        finally:
            kill = not kill
            if kill:
                server.kill()
            else:
                server.end()
    for what, seconds in answered.items():
        table.rows.append({"start": what, "ready s": spread(ready[what]), "all groups answered s": spread(seconds)})
        report.runs.append({"start": what, "ready_s": ready[what], "answered_s": seconds})


async def _list(address: str) -> int:
    async with grpc.aio.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        stub: Any = groups_pb2_grpc.GroupsStub(channel)  # type: ignore[no-untyped-call]
        return len((await stub.ListGroups(groups_pb2.ListGroupsRequest())).groups)


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured (5, quick: 2)")
    made.add_argument("--seconds", type=float, help="of commits in a round (3, quick: 0.5)")
    made.add_argument("--groups", type=int, help="where there are many (1000, quick: 100)")
    made.add_argument("--members", type=int, help="that rebalance (100, quick: 10)")
    made.add_argument("--partitions", type=int, help="that they share (1000, quick: 100)")
    made.add_argument("--offsets", type=int, help="committed (100000, quick: 10000)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (2 if found.quick else 5)
    found.seconds = found.seconds or (0.5 if found.quick else 3)
    found.groups = found.groups or (100 if found.quick else 1000)
    found.members = found.members or (10 if found.quick else 100)
    found.partitions = found.partitions or (100 if found.quick else 1000)
    found.offsets = found.offsets or (10_000 if found.quick else 100_000)
    return found


async def _measure(report: Report, server: Server, chosen: argparse.Namespace) -> None:
    await measure_commits(report, server.address, chosen)
    await measure_rebalances(report, server, chosen)
    await asyncio.sleep(_SETTLE_S)
    await measure_memory(report, server, chosen)


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.groups", CLAIM, chosen.directory)
    report.notes += _NOTES
    settings = {
        "group.consumer.session.timeout.ms": str(_SESSION_MS),
        "group.consumer.heartbeat.interval.ms": str(_HEARTBEAT_MS),
    }
    with scratch(chosen.directory) as directory:
        log = directory / "server.log"
        with log_server(directory / "data", log, settings) as server:
            with Topics(server.address) as topics:
                topics.create(_TOPIC, chosen.partitions)
                topics.create(_SMALL_TOPIC, _SMALL_PARTITIONS)
            asyncio.run(_measure(report, server, chosen))
        measure_starts(report, directory / "offsets", log, chosen)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
