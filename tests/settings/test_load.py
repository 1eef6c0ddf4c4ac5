"""Where settings come from, which source wins, and what is refused."""

from pathlib import Path

import pytest

from logserver.settings import ServerSettings, SettingsError, load_settings, server_setting_rows


def write(directory: Path, text: str) -> Path:
    file = directory / "settings.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_any_source_the_defaults_apply():
    assert load_settings() == ServerSettings()
    assert ServerSettings().source_of("log.dirs") == "default"


def test_command_line_goes_before_environment_and_environment_before_file(tmp_path):
    names = ("log.segment.bytes", "num.partitions", "max.topics")
    file = write(tmp_path, "".join(f'"{name}" = 2000\n' for name in names))
    settings = load_settings(
        file=file,
        environment={"LOGSERVER_NUM_PARTITIONS": "3000", "LOGSERVER_MAX_TOPICS": "3000"},
        command_line=[("max.topics", "4000"), ("max.topics", "5000")],
    )
    assert (settings.log_segment_bytes, settings.num_partitions, settings.max_topics) == (2000, 3000, 5000)
    assert [settings.source_of(name) for name in (*names, "node.id")] == [
        "file",
        "environment",
        "command line",
        "default",
    ]
    rows = {row.name: row for row in server_setting_rows(settings)}
    assert (rows["max.topics"].value, rows["max.topics"].source) == ("5000", "command line")
    assert (rows["log.retention.ms"].value, rows["log.retention.ms"].source) == ("", "default")


def test_a_file_may_use_tomls_own_types(tmp_path):
    file = write(
        tmp_path,
        """
        "log.cleanup.policy" = ["compact", "delete"]
        "log.cleaner.min.cleanable.ratio" = 1
        "log.retention.ms" = ""
        "grpc.listeners" = "127.0.0.1:0"
        """,
    )
    settings = load_settings(file=file)
    assert settings.log_cleanup_policy == ("compact", "delete")
    assert settings.log_cleaner_min_cleanable_ratio == 1.0
    assert settings.log_retention_ms is None


def test_an_unknown_name_in_the_file_is_refused_with_the_nearest(tmp_path):
    file = write(tmp_path, '"log.segment.byte" = 5\n')
    with pytest.raises(
        SettingsError, match=r"settings\.toml: log\.segment\.byte is not .*did you mean log\.segment\.bytes\?"
    ):
        load_settings(file=file)


def test_a_wrong_value_says_where_it_stood(tmp_path):
    with pytest.raises(SettingsError, match=r"settings\.toml: log\.segment\.bytes can't be 5"):
        load_settings(file=write(tmp_path, '"log.segment.bytes" = 5\n'))
    with pytest.raises(SettingsError, match=r"Environment variable LOGSERVER_LOG_SEGMENT_BYTES: log\.segment\.bytes"):
        load_settings(environment={"LOGSERVER_LOG_SEGMENT_BYTES": "5"})


def test_names_without_quotes_are_refused_with_the_quoted_form(tmp_path):
    with pytest.raises(
        SettingsError, match=r'write dotted names in quotes and at the top level, "log\.segment\.bytes"'
    ):
        load_settings(file=write(tmp_path, "log.segment.bytes = 5000\n"))


@pytest.mark.parametrize("content", [b"log.level = info\n", b"\xff\xfe", b'"a" = 1\n"a" = 2\n'])
def test_a_file_that_is_not_toml_is_refused(tmp_path, content):
    file = tmp_path / "settings.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"settings\.toml is not a TOML file"):
        load_settings(file=file)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_settings(file=tmp_path / "none.toml")


def test_other_variables_are_none_of_our_business():
    environment = {"HOME": "/root", "LOGSERVER_SERVER": "127.0.0.1:1", "_LOGSERVER_COMPLETE": "bash_source"}
    assert load_settings(environment=environment) == ServerSettings()


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("LOGSERVER_LOG_SEGMENT_BITES", "LOGSERVER_LOG_SEGMENT_BYTES"),
        ("LOGSERVER_LOG_DIR", "LOGSERVER_LOG_DIRS"),
        ("LOGSERVER_SERVERS", "LOGSERVER_SERVER"),
        ("LOGSERVER_log_dirs", "LOGSERVER_LOG_DIRS"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest(variable, nearest):
    with pytest.raises(SettingsError, match=rf"{variable} is not .*did you mean {nearest}\?"):
        load_settings(environment={variable: "1"})


def test_a_topics_setting_given_to_the_server_is_refused_with_the_servers_name():
    with pytest.raises(SettingsError, match=r"the server's default for it is message\.max\.bytes"):
        load_settings(command_line=[("max.message.bytes", "1")])
