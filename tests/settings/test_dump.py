"""The settings as a TOML file that the server reads back, and the page made from the definitions."""

import tomllib
from pathlib import Path

from logserver.settings import SERVER_DEFINITIONS, TOPIC_DEFINITIONS, ServerSettings, load_settings
from logserver.settings.docs import settings_page
from logserver.settings.dump import dump_toml

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_dumped_defaults_are_read_back(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(dump_toml(ServerSettings()), encoding="utf-8")
    loaded = load_settings(file=file)
    for definition in SERVER_DEFINITIONS.values():
        assert getattr(loaded, definition.attribute) == definition.default


def test_dumped_values_are_read_back(tmp_path):
    settings = load_settings(
        command_line=[
            ("log.dirs", 'C:\\logs "ä" \x7f\t'),
            ("log.cleanup.policy", "compact,delete"),
            ("log.retention.ms", "-1"),
            ("log.flush.interval.ms", "5"),
            ("thread.switch.interval.ms", "0.00001e3"),
            ("grpc.listeners", "127.0.0.1:0,[::1]:1"),
        ]
    )
    file = tmp_path / "settings.toml"
    file.write_text(dump_toml(settings), encoding="utf-8")
    loaded = load_settings(file=file)
    for definition in SERVER_DEFINITIONS.values():
        assert getattr(loaded, definition.attribute) == getattr(settings, definition.attribute)


def test_every_setting_is_in_the_dump_and_only_unset_ones_are_comments():
    text = dump_toml(ServerSettings())
    values = tomllib.loads(text)
    for name, definition in SERVER_DEFINITIONS.items():
        assert f'"{name}" = ' in text
        assert (name in values) == (definition.default is not None)
    for name in TOPIC_DEFINITIONS:
        assert f"#   {name} (from " in text
    # Every commented assignment is valid as soon as the comment sign is taken away.
    tomllib.loads("\n".join(line[2:] for line in text.splitlines() if line.startswith('# "')))


def test_the_page_of_settings_is_fresh():
    assert PAGE.read_text(encoding="utf-8") == settings_page(), (
        "docs/settings.md is stale: python -m logserver.settings.docs > docs/settings.md"
    )


def test_the_page_has_every_setting():
    page = settings_page()
    for name in (*SERVER_DEFINITIONS, *TOPIC_DEFINITIONS):
        assert f"\n| `{name}` |" in page
