"""Reading values: types, bounds, and errors that name the setting and say what is wanted."""

import pytest

from logserver.settings import (
    SERVER_DEFINITIONS,
    TOPIC_DEFINITIONS,
    ServerSettings,
    SettingsError,
    Value,
    format_value,
    load_settings,
    parse_value,
)
from logserver.settings.values import example_of

ALL_DEFINITIONS = [*SERVER_DEFINITIONS.values(), *TOPIC_DEFINITIONS.values()]


@pytest.mark.parametrize("definition", ALL_DEFINITIONS, ids=lambda definition: definition.name)
def test_every_setting_is_documented_and_its_example_is_accepted(definition):
    assert definition.about.documentation.endswith(".")
    parse_value(definition, example_of(definition))
    assert definition.optional == (definition.about.unset is not None)


@pytest.mark.parametrize("name", SERVER_DEFINITIONS)
def test_every_default_survives_its_text_form(name):
    definition = SERVER_DEFINITIONS[name]
    assert parse_value(definition, format_value(definition.default)) == definition.default


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("log.segment.bytes", "1048576", 1048576),
        ("log.segment.bytes", " 1048576 ", 1048576),
        ("log.segment.bytes", 1048576, 1048576),
        ("log.retention.ms", "-1", -1),
        ("log.retention.ms", "", None),
        ("log.cleaner.min.cleanable.ratio", "0.25", 0.25),
        ("log.cleaner.min.cleanable.ratio", 1, 1.0),
        ("log.cleanup.policy", "compact", ("compact",)),
        ("log.cleanup.policy", "delete", ("delete",)),
        ("log.cleanup.policy", "delete, compact", ("delete", "compact")),
        ("log.cleanup.policy", ["compact", "delete", "compact"], ("compact", "delete")),
        ("grpc.listeners", "127.0.0.1:0,[::1]:50051", ("127.0.0.1:0", "[::1]:50051")),
        ("grpc.advertised.listeners", "", ()),
        ("log.level", "debug", "debug"),
    ],
)
def test_a_value_is_read(name: str, raw: object, value: Value):
    assert parse_value(SERVER_DEFINITIONS[name], raw) == value


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("log.segment.bytes", "1023"),
        ("log.segment.bytes", "2147483648"),
        ("log.segment.bytes", "1e6"),
        ("log.segment.bytes", "1_000_000"),
        ("log.segment.bytes", "\u0661\u0660\u0660\u0660"),
        ("log.segment.bytes", "1 GiB"),
        ("log.segment.bytes", ""),
        ("log.segment.bytes", 1.5),
        ("log.segment.bytes", True),
        ("log.segment.bytes", "9" * 5000),
        ("log.retention.bytes", "9223372036854775808"),
        ("log.retention.ms", "-2"),
        ("log.cleaner.min.cleanable.ratio", "1.01"),
        ("log.cleaner.min.cleanable.ratio", "nan"),
        ("log.cleaner.min.cleanable.ratio", "inf"),
        ("log.cleaner.min.cleanable.ratio", "half"),
        ("log.cleaner.min.cleanable.ratio", False),
        ("log.cleanup.policy", ""),
        ("log.cleanup.policy", "delete,"),
        ("log.cleanup.policy", "delete,shred"),
        ("log.cleanup.policy", 5),
        ("log.cleanup.policy", [1]),
        ("log.message.timestamp.type", "createtime"),
        ("log.dirs", ""),
        ("log.dirs", 5),
        ("grpc.listeners", "localhost"),
        ("grpc.listeners", ":50051"),
        ("grpc.listeners", "localhost:port"),
        ("grpc.listeners", "localhost:65536"),
        ("grpc.listeners", "::1:50051"),
        ("grpc.listeners", "http://localhost:50051"),
        ("grpc.listeners", ""),
        ("grpc.advertised.listeners", "logs.example.com:0"),
        ("listeners", "SASL_SSL://:9092"),
        ("min.insync.replicas", "2"),
        ("compression.type", "brotli"),
    ],
)
def test_a_wrong_value_is_refused_with_type_and_example(name: str, raw: object):
    definition = SERVER_DEFINITIONS[name]
    with pytest.raises(SettingsError) as caught:
        parse_value(definition, raw)
    assert caught.value.name == name
    assert caught.value.message.startswith(f"{name} can't be ")
    assert definition.type_text in caught.value.message
    assert f"for example {name}=" in caught.value.message
    assert len(caught.value.message) < 400


def test_the_error_says_on_which_side_of_the_bounds_the_value_lies():
    with pytest.raises(SettingsError, match=r"'1023' \(too small\); it must be an integer from 1024 to 2147483647"):
        load_settings(command_line=[("log.segment.bytes", "1023")])


def test_every_attribute_is_the_dotted_name_with_underscores():
    for name, definition in SERVER_DEFINITIONS.items():
        assert definition.attribute == name.replace(".", "_")
        assert getattr(ServerSettings(), definition.attribute) == definition.default


def test_addresses_of_the_grpc_door():
    settings = load_settings(command_line=[("grpc.listeners", "127.0.0.1:0,[::1]:50051,logs.example.com:1")])
    assert [(address.host, address.port) for address in settings.grpc_addresses] == [
        ("127.0.0.1", 0),
        ("::1", 50051),
        ("logs.example.com", 1),
    ]
    assert [str(address) for address in settings.grpc_addresses] == list(settings.grpc_listeners)
    assert [address.is_loopback for address in settings.grpc_addresses] == [True, True, False]
