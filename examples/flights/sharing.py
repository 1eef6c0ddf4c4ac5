"""Part four: consumers of one group share the flights, while one of them is killed, and then the server."""

import time
from pathlib import Path
from typing import Final

from logserver_client import AdminClient, Group

from .journal import Journal
from .stage import PARTITIONS, Stage
from .storing import FLIGHTS, TOPIC
from .tally import Tally
from .team import Member, Team

GROUP: Final = "flight-workers"
WORKERS: Final = 3
SESSION_MS: Final = 5_000
SERVER_SETTINGS: Final = {
    "group.consumer.session.timeout.ms": str(SESSION_MS),
    "group.consumer.heartbeat.interval.ms": str(SESSION_MS // 5),
}
"""What this part wants of the server: the death of a worker is noticed sooner than the 45 seconds of the default."""


def share(stage: Stage, folder: Path) -> None:
    """Three workers read the topic between them; one is killed half-way."""
    proof = stage.proof
    proof.step(f"Sharing {TOPIC!r} between {WORKERS} processes of the group {GROUP!r}, one of them killed")
    proof.say(
        f"who is silent for {SESSION_MS / 1000:g} s is taken for dead: "
        f"--set group.consumer.session.timeout.ms={SESSION_MS}, where the default is 45000"
    )
    with AdminClient(stage.server.address) as admin, _team(stage, folder / "killed-worker") as team:
        team.begin()
        _wait_until_half(team)
        victim = _busiest(team, admin.describe_group(GROUP))
        team.wait_for(f"{victim.name} has work that is not committed", lambda: bool(victim.journal.uncommitted()))
        team.kill(victim)
        killed_ns, count = time.monotonic_ns(), team.count
        uncommitted = victim.journal.uncommitted()
        orphans = set(victim.journal.partitions)
        proof.check(
            0 < count < FLIGHTS,
            f"SIGKILL of {victim.name} with {count:,} records done: {victim.journal.count:,} by it, "
            f"{len(uncommitted):,} of those not committed",
        )
        _wait_until_done(team, admin)
        group = admin.describe_group(GROUP)
        survivors = [member.journal for member in team.members if member is not victim]
        seconds = _seconds_until_taken(survivors, orphans, killed_ns)
        proof.say(f"{len(orphans)} partitions of {victim.name} went to the others {seconds:.1f} s after the kill")
        owned = sorted(tp.partition for member in group.members for tp in member.assigned)
        proof.check(
            len(group.members) == WORKERS - 1 and owned == list(range(PARTITIONS)),
            f"the others took over: {len(group.members)} members own {len(owned)} partitions, each has one owner",
        )
        proof.check(team.stop(), "the others committed, left the group and ended")
    _check_work(stage, team)
    tally = _check_tally(stage, team)
    proof.check(
        tally.repeats_only(uncommitted),
        f"seen twice: {tally.again:,} records; at most the {len(uncommitted):,} that {victim.name} had not committed",
    )
    proof.check(group.lag == 0, f"lag of the group at the end: {group.lag}")


def share_across_restart(stage: Stage, folder: Path) -> None:
    """Three workers read the topic once more; the server is killed half-way."""
    proof = stage.proof
    proof.step(f"Resetting the group {GROUP!r}, and killing the server while it works on everything once more")
    stage.commands.run("groups", "reset", GROUP, "--topic", TOPIC, "--to", "earliest")
    with AdminClient(stage.server.address) as admin:
        lag = admin.describe_group(GROUP).lag
        proof.check(lag == FLIGHTS, f"`logserver groups reset` to the beginning: the lag of the group is {lag:,}")
        with _team(stage, folder / "killed-server") as team:
            team.begin()
            _wait_until_half(team)
            before = admin.describe_group(GROUP)
            stage.server.kill()
            # What was answered before this was answered by the killed server, what comes after it by the next one.
            killed_ns = time.monotonic_ns()
            team.catch_up()
            count = team.count
            seconds = stage.server.start()
            team.wait_for("commits to the new server", lambda: _all_are_back(team, killed_ns))
            uncommitted = {place for journal in team.journals for place in journal.uncommitted(killed_ns)}
            proof.say(f"ready again after {seconds:.1f} s")
            proof.check(
                0 < count < FLIGHTS,
                f"SIGKILL of the server with {count:,} records done by {WORKERS} workers, {len(uncommitted):,} of them "
                "not committed before the restart",
            )
            _wait_until_done(team, admin)
            after = admin.describe_group(GROUP)
            losses = sum(journal.losses for journal in team.journals)
            proof.check(
                _owners(before) == _owners(after) and before.group_epoch == after.group_epoch and losses == 0,
                f"the restart cost no rebalance: {len(after.members)} members keep their partitions, "
                f"group epoch {before.group_epoch} before and {after.group_epoch} after",
            )
            proof.check(team.stop(), "the workers committed, left the group and ended")
    _check_work(stage, team)
    tally = _check_tally(stage, team)
    proof.check(
        tally.repeats_only(uncommitted),
        f"seen twice: {tally.again:,} records; at most the {len(uncommitted):,} that were not committed",
    )
    proof.check(after.lag == 0, f"lag of the group at the end: {after.lag}")


def _team(stage: Stage, folder: Path) -> Team:
    return Team(folder, WORKERS, stage.server.address, TOPIC, GROUP)


def _wait_until_half(team: Team) -> None:
    """Half of the records are done, and every worker has got partitions."""
    team.wait_for(
        "half of the work",
        lambda: team.count >= FLIGHTS // 2 and all(journal.partitions for journal in team.journals),
    )


def _wait_until_done(team: Team, admin: AdminClient) -> None:
    """Every record is done and committed, and every partition has a living owner."""
    team.wait_for("all of the work", lambda: _is_done(admin.describe_group(GROUP)))


def _is_done(group: Group) -> bool:
    offsets = [(offset.committed_offset or 0, offset.high_watermark) for offset in group.offsets if offset.member_id]
    return len(offsets) == PARTITIONS and all(committed == end for committed, end in offsets)


def _busiest(team: Team, group: Group) -> Member:
    """The worker in whose partitions most is left to do."""
    names = {member.member_id: member.client_id for member in group.members}
    left = dict.fromkeys(names.values(), 0)
    for offset in group.offsets:
        if offset.member_id:
            left[names[offset.member_id]] += offset.high_watermark - (offset.committed_offset or 0)
    return max(team.members, key=lambda member: left.get(member.name, 0))


def _owners(group: Group) -> dict[int, str]:
    return {tp.partition: member.member_id for member in group.members for tp in member.assigned}


def _all_are_back(team: Team, killed_ns: int) -> bool:
    """Whatever was not committed at the kill is now."""
    return all(
        not stint.uncommitted(killed_ns) or any(answered_ns >= killed_ns for answered_ns, _ in stint.commits)
        for journal in team.journals
        for stint in journal.stints
        if stint.is_open(killed_ns)
    )


def _seconds_until_taken(survivors: list[Journal], orphans: set[int], killed_ns: int) -> float:
    began = [
        stint.began_ns
        for journal in survivors
        for stint in journal.stints
        if stint.began_ns > killed_ns and stint.partition in orphans
    ]
    return (max(began) - killed_ns) / 1e9 if began else 0.0


def _check_work(stage: Stage, team: Team) -> None:
    for member in team.members:
        partitions = len({stint.partition for stint in member.journal.stints if stint.offsets})
        stage.proof.say(f"{member.name}: {member.journal.count:>7,} records done, of {partitions} partitions")


def _check_tally(stage: Stage, team: Team) -> Tally:
    tally = Tally([stint for journal in team.journals for stint in journal.stints], stage.flights)
    stage.proof.check(
        tally.is_complete and len(stage.flights) == FLIGHTS,
        f"each of the {len(stage.flights):,} records was seen, unchanged: {tally.missing} missing, "
        f"{tally.changed} differ",
    )
    stage.proof.check(tally.keeps_order, "per-key order kept with each owner of a partition")
    return tally
