"""Several data directories: which of them a log is in, and what becomes of the logs when one fails or is missing."""

import random
from collections.abc import Sequence

import pytest
from logserver_segments.committer import ImmediateCommitter
from logserver_segments.data_directory import DataDirectories, DataDirectory
from logserver_segments.errors import DirectoryInUse, ForeignDirectory, LogOffline
from logserver_segments.log import Log

from .fake_disk import FakeDisk
from .support import NOW, SMALL, TOPIC_ID, FakeClock, InlineWorkers, batch, read_all, run, values

A, B, C = "/disk1/data", "/disk2/data", "/disk3/data"
MAIN = ("__main", 0)
OTHER_ID = "BBBBBBBBBBBBBBBBBBBBBQ"


class Machine:
    """Data directories on a fake disk, opened again and again, with the log that knows the others."""

    def __init__(self, *paths: str) -> None:
        self.paths: Sequence[str] = paths or (A, B)
        self.disk = FakeDisk()
        self.main_path: str | None = None
        # What the server would remember in its metadata.
        self.known: dict[str, str] = {}
        self._opened = 0

    def open(self, *paths: str) -> DataDirectories:
        self.paths = paths or self.paths
        self._opened += 1
        chance = random.Random(self._opened)

        def open_one(path: str, cluster_id: str | None) -> DataDirectory:
            return DataDirectory(
                path,
                1,
                disk=self.disk,
                clock=FakeClock(),
                random=chance,
                workers=InlineWorkers(),
                cluster_id=cluster_id,
            )

        self.all = DataDirectories(self.paths, open_one, disk=self.disk, main_log=MAIN, main_path=self.main_path)
        for directory in self.all.online:
            directory.start(ImmediateCommitter(self.disk))
        self.all.open(*MAIN, TOPIC_ID, SMALL)
        self.all.expect(self.known)
        return self.all

    def opened_all(self) -> None:
        self.all.opened_all()
        self.known = self.all.ids()

    def log(self, number: int, topic_id: str = TOPIC_ID) -> Log:
        return self.all.open("t", number, topic_id, SMALL)

    def fill(self, count: int) -> None:
        """Opens the directories, and makes logs with a record each."""
        self.open()
        self.opened_all()
        for number in range(count):
            self.log(number).append(batch(b"%d" % number), 0, NOW)

    def close(self) -> None:
        for directory in self.all.online:
            directory.close()

    def where(self) -> dict[str, list[str]]:
        return {
            path: sorted(name for name, is_directory, _ in self.disk.list(path) if is_directory) for path in self.paths
        }


def held(log: Log) -> list[bytes | None]:
    return values(read_all(log))


def test_a_new_log_goes_to_the_directory_that_has_the_fewest() -> None:
    machine = Machine(A, B, C)
    machine.fill(7)
    assert machine.where() == {A: ["__main-0", "t-2", "t-5"], B: ["t-0", "t-3", "t-6"], C: ["t-1", "t-4"]}
    assert [machine.all.path_of("t", number) for number in range(4)] == [B, C, A, B]
    run(machine.all.delete("t", 0))
    run(machine.all.delete("t", 3))
    machine.log(7)
    assert machine.all.path_of("t", 7) == B and machine.all.path_of("t", 0) is None
    assert len(machine.all) == 7


def test_logs_are_found_where_they_are_whatever_the_order_of_the_directories() -> None:
    machine = Machine()
    machine.fill(4)
    before = machine.where()
    machine.close()
    machine.open(B, A)
    assert machine.all.was_clean
    assert [held(machine.log(number)) for number in range(4)] == [[b"%d" % number] for number in range(4)]
    machine.opened_all()
    assert machine.all.set_strays_aside(lambda topic, number: True) == []
    assert machine.where() == before


def test_a_directory_that_is_added_is_one_of_the_same_cluster_and_gets_the_next_logs() -> None:
    machine = Machine(A)
    machine.fill(2)
    machine.close()
    machine.open(B, A)
    # It was not open before, so nothing has to be checked.
    assert machine.all.was_clean
    assert [held(machine.log(number)) for number in range(2)] == [[b"0"], [b"1"]]
    machine.opened_all()
    machine.log(2)
    assert machine.where() == {B: ["t-2"], A: ["__main-0", "t-0", "t-1"]}
    first, second = (directory.meta for directory in machine.all.online)
    assert first.cluster_id == second.cluster_id and first.directory_id != second.directory_id


def test_only_the_logs_of_a_directory_that_was_not_closed_are_read() -> None:
    machine = Machine()
    machine.fill(4)
    first, second = machine.all.online
    first.close()
    second.abandon()
    machine.disk.reads.clear()
    machine.open()
    assert not machine.all.was_clean
    for number in range(4):
        machine.log(number)
    read = {path.rpartition("/")[0] for path, _, _ in machine.disk.reads if path.endswith(".log")}
    assert read == {f"{B}/t-0", f"{B}/t-2"}


@pytest.mark.parametrize("operation", ["list", "read_file"])
def test_a_directory_that_fails_takes_only_its_logs_offline(operation: str) -> None:
    machine = Machine()
    machine.fill(4)
    machine.close()
    fault = machine.disk.fail(operation, f"{B}*", times=None)
    machine.open()
    assert [directory.path for directory in machine.all.online] == [A]
    states = machine.all.states()
    assert [state.path for state in states] == [A, B] and states[0].error is None and states[1].error is not None
    for number in (0, 2):
        with pytest.raises(LogOffline, match=f"t-{number} is in none .* {B} .Input/output error"):
            machine.log(number)
    assert [held(machine.log(number)) for number in (1, 3)] == [[b"1"], [b"3"]]
    machine.opened_all()
    # What comes now is new, and goes where it can.
    machine.log(4).append(batch(b"4"), 0, NOW)
    machine.close()
    machine.disk.faults.remove(fault)
    machine.open()
    assert [held(machine.log(number)) for number in range(5)] == [[b"%d" % number] for number in range(5)]
    assert machine.where() == {A: ["__main-0", "t-1", "t-3", "t-4"], B: ["t-0", "t-2"]}


def test_with_all_directories_failing_nothing_starts() -> None:
    machine = Machine()
    machine.fill(1)
    machine.close()
    machine.disk.fail("list", times=None)
    with pytest.raises(OSError, match="Input/output"):
        machine.open()


@pytest.mark.parametrize("is_empty", [True, False])
def test_logs_of_a_directory_that_is_missing_are_not_made_anew_until_it_is_given_up(is_empty: bool) -> None:
    machine = Machine()
    machine.fill(4)
    machine.close()
    machine.disk.rename("/disk2", "/away")
    # As of a disk that is not mounted, or one that is not named any more.
    machine.open(*((A, B) if is_empty else (A,)))
    for number in (0, 2):
        with pytest.raises(LogOffline, match=f"t-{number} .*{B} .directory.id=.*log.dirs.lost"):
            machine.log(number)
    assert held(machine.log(1)) == [b"1"]
    machine.opened_all()
    assert len(machine.known) == 2 + is_empty
    machine.close()
    # Still so at the next start.
    machine.open()
    with pytest.raises(LogOffline):
        machine.log(0)
    machine.opened_all()
    machine.close()
    # Given up: log.dirs.lost leaves it out of what is known.
    present = {directory.meta.directory_id for directory in machine.all.online}
    machine.known = {known_id: path for known_id, path in machine.known.items() if known_id in present}
    machine.open()
    assert held(machine.log(0)) == [] and held(machine.log(1)) == [b"1"]


def test_a_directory_without_any_log_may_go() -> None:
    machine = Machine(A, B, C)
    machine.fill(1)
    assert machine.all.path_of("t", 0) == B
    machine.close()
    machine.open(A, B)
    assert held(machine.log(0)) == [b"0"]
    machine.opened_all()
    assert sorted(machine.known.values()) == [A, B]


def test_logs_without_the_log_that_knows_them_are_not_taken_for_strays() -> None:
    machine = Machine()
    machine.fill(2)
    machine.close()
    machine.disk.rename("/disk1", "/away")
    with pytest.raises(ForeignDirectory, match=r"Is a disk not mounted"):
        machine.open()
    assert not machine.disk.exists(A)
    machine.disk.rename("/away", "/disk1")
    machine.disk.fail("list", f"{A}*", times=None)
    with pytest.raises(ForeignDirectory, match=f"may be in one that can not: {A}"):
        machine.open()
    machine.disk.faults.clear()
    machine.open()
    # What refused the start has left it as it was.
    assert machine.all.was_clean
    assert [held(machine.log(number)) for number in range(2)] == [[b"0"], [b"1"]]


def test_directories_that_do_not_belong_together_are_refused() -> None:
    machine = Machine(A)
    machine.fill(1)
    machine.close()
    other = Machine(B)
    other.disk, other._opened = machine.disk, 10
    other.fill(1)
    other.close()
    with pytest.raises(ForeignDirectory, match=f"{B} belongs to the cluster"):
        machine.open(A, B)
    with pytest.raises(ForeignDirectory, match="twice"):
        machine.open(A, A)
    machine.open(A)
    # A copy, with all that is in it.
    meta = machine.disk.read_file(f"{A}/meta.properties")
    machine.close()
    machine.disk.make_directory(C)
    machine.disk.write_file(f"{C}/meta.properties", meta, durable=True)
    with pytest.raises(ForeignDirectory, match="copy"):
        machine.open(A, C)
    machine.disk.make_directory(f"{C}/__main-0")
    machine.disk.write_file(f"{C}/meta.properties", meta.replace(b"directory.id=", b"directory.id=x"), durable=True)
    with pytest.raises(ForeignDirectory, match="both have"):
        machine.open(A, C)
    assert not machine.disk.locks


def test_a_directory_in_use_by_another_server_is_no_failing_disk() -> None:
    machine = Machine()
    machine.fill(1)
    first = machine.all
    other = Machine(C, B)
    other.disk = machine.disk
    with pytest.raises(DirectoryInUse, match=B):
        other.open()
    assert len(first) == 2


def test_the_main_log_is_made_where_it_is_wanted_and_stays() -> None:
    machine = Machine()
    machine.main_path = B
    machine.fill(0)
    assert machine.all.path_of(*MAIN) == B
    machine.close()
    machine.main_path = None
    machine.open()
    assert machine.all.path_of(*MAIN) == B
    machine.close()
    machine.main_path = A
    with pytest.raises(ForeignDirectory, match=rf"metadata.log.dir={A}, but .* is in {B}"):
        machine.open()
    machine.main_path = "/elsewhere"
    with pytest.raises(ForeignDirectory, match=r"metadata.log.dir=/elsewhere"):
        machine.open()


def test_a_log_that_can_not_be_made_in_one_directory_is_made_in_another() -> None:
    machine = Machine()
    machine.fill(0)
    machine.disk.fail("create", f"{B}/t-0/*.log", times=1)
    machine.log(0).append(batch(b"a"), 0, NOW)
    assert machine.where() == {A: ["__main-0", "t-0"], B: []}
    machine.close()
    machine.open()
    assert held(machine.log(0)) == [b"a"]


def test_of_a_log_that_is_in_two_directories_the_empty_one_is_set_aside() -> None:
    machine = Machine()
    machine.fill(0)
    # What was begun stays, because the disk that failed lets nothing be removed.
    machine.disk.fail("create", f"{B}/t-0/*.log", times=1)
    machine.disk.fail("remove_tree", times=1)
    machine.log(0).append(batch(b"a"), 0, NOW)
    assert machine.where() == {A: ["__main-0", "t-0"], B: ["t-0"]}
    machine.close()
    machine.open()
    assert held(machine.log(0)) == [b"a"]
    machine.opened_all()
    (aside,) = machine.all.set_strays_aside(lambda topic, number: True)
    assert aside.startswith(f"{B}/t-0.") and aside.endswith("-stray")


def test_of_a_log_that_is_in_two_directories_with_records_neither_is_taken() -> None:
    machine = Machine()
    machine.fill(2)
    machine.close()
    copy = f"{A}/t-0"
    machine.disk.make_directory(copy)
    for name in ("00000000000000000000.log", "partition.metadata"):
        machine.disk.write_file(f"{copy}/{name}", machine.disk.read_file(f"{B}/t-0/{name}"), durable=True)
    machine.open()
    with pytest.raises(ForeignDirectory, match=f"t-0 is in {A} and in {B}"):
        machine.log(0)
    assert held(machine.log(1)) == [b"1"]
    machine.opened_all()
    assert machine.all.set_strays_aside(lambda topic, number: True) == []


def test_a_topic_that_was_made_anew_while_a_directory_was_away_is_not_mixed_up_with_the_old_one() -> None:
    machine = Machine()
    machine.fill(2)
    machine.close()
    fault = machine.disk.fail("list", f"{B}*", times=None)
    machine.open()
    # The topic is deleted: of what is away nothing can be removed.
    machine.log(1)
    machine.opened_all()
    with pytest.raises(OSError, match="No such file"):
        machine.all.delete("t", 0)
    run(machine.all.delete("t", 1))
    machine.log(0, OTHER_ID).append(batch(b"new"), 0, NOW)
    machine.close()
    machine.disk.faults.remove(fault)
    machine.open()
    assert held(machine.log(0, OTHER_ID)) == [b"new"]
    machine.opened_all()
    (aside,) = machine.all.set_strays_aside(lambda topic, number: True)
    assert aside.startswith(f"{B}/t-0.") and aside.endswith("-stray")


def test_a_directory_in_which_the_disk_took_a_log_offline_gets_new_ones_last() -> None:
    machine = Machine()
    machine.fill(4)
    machine.disk.fail("write", f"{B}/t-0/*")
    with pytest.raises(Exception, match="failed to write"):
        dict(machine.all)[("t", 0)].append(batch(b"x"), 0, NOW)
    for number in range(4, 8):
        machine.log(number)
    assert {machine.all.path_of("t", number) for number in range(4, 8)} == {A}
