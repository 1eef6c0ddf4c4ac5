"""Limits of open and mapped files: as set, or derived from the system's."""

from logserver.settings import ServerSettings, file_limits, load_settings, system_map_count, system_open_files


def test_derived_limits_leave_room_for_everything_else():
    limits = file_limits(ServerSettings(), open_files=20_000, map_count=65_530)
    assert limits == (5_000, 5_000)
    assert file_limits(ServerSettings(), open_files=1_000_000, map_count=65_530) == (100_000, 21_843)
    assert file_limits(ServerSettings(), open_files=1_024, map_count=65_530) == (256, 256)


def test_small_systems_keep_a_minimum():
    assert file_limits(ServerSettings(), open_files=100, map_count=10) == (64, 64)


def test_set_limits_are_taken_as_they_are():
    settings = load_settings(command_line=[("log.open.files.max", "70"), ("log.mapped.files.max", "90")])
    assert file_limits(settings, open_files=20_000, map_count=65_530) == (70, 90)


def test_the_systems_limits_can_be_read():
    assert system_open_files() > 0
    assert system_map_count() > 0
