"""The root of the commands: help, version, completion, exit codes, and what is imported when."""

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import logserver
from logserver.cli import main
from logserver.cli.failures import CommandFailed, sentence
from logserver.cli.options import DEFAULT_SERVER
from logserver.settings import ServerSettings

COMMANDS = [
    "serve",
    "topics",
    "produce",
    "consume",
    "replay",
    "groups",
    "transactions",
    "queues",
    "status",
    "settings",
    "verify",
    "dump",
    "import-kafka",
    "crash-test",
    "completion",
]
GROUPS = ["list", "describe", "reset", "delete", "delete-offsets"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOGSERVER_")}
    return subprocess.run(
        [sys.executable, "-m", "logserver", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean | environment,
    )


def test_version():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"logserver {logserver.__version__}\n", "")


def test_help_names_every_command_in_the_order_of_use():
    done = run("--help")
    assert done.returncode == 0
    listed = [line.split()[0] for line in done.stdout.split("Commands:\n")[1].splitlines()]
    assert listed == COMMANDS


@pytest.mark.parametrize(
    "command",
    [
        *([name] for name in COMMANDS),
        ["topics", "create"],
        ["topics", "delete-records"],
        *(["groups", name] for name in GROUPS),
    ],
)
def test_every_command_has_help(command):
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


@pytest.mark.parametrize("command", [["consume"], ["replay"], ["groups"], *(["groups", name] for name in GROUPS)])
def test_the_help_of_commands_for_groups_has_an_example(command):
    text = CliRunner().invoke(main, [*command, "--help"]).stdout
    assert f"  logserver {' '.join(command)} " in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["topics", "list"],
        ["topics", "create", "x"],
        ["topics", "describe", "x"],
        ["topics", "alter", "x"],
        ["topics", "delete", "x"],
        ["topics", "delete-records", "x"],
        ["produce", "x"],
        ["consume", "x"],
        ["replay", "x"],
        *(["groups", name] for name in GROUPS),
        ["status"],
    ],
)
def test_every_client_command_takes_the_server_and_json(arguments):
    help_text = CliRunner().invoke(main, [*arguments, "--help"]).stdout
    assert "--server HOST:PORT" in help_text
    assert "LOGSERVER_SERVER" in help_text
    assert "--json" in help_text


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["topics", "nothing"],
        ["topics", "create"],
        ["topics", "create", "x", "--partitions", "0"],
        ["topics", "create", "x", "--config", "retention.ms"],
        ["topics", "alter", "x"],
        ["topics", "alter", "x", "--config", "retention.ms=1", "--reset", "retention.ms"],
        ["topics", "delete-records", "x", "--partition", "0"],
        ["topics", "delete-records", "x", "--partition", "0", "--before", "-2"],
        ["topics", "list", "--server", "localhost"],
        ["topics", "list", "--server", "localhost:0"],
        ["produce", "x", "no-such-file"],
        ["produce", "x", "--format", "xml"],
        ["produce", "x", "--key-field", "a"],
        ["produce", "x", "--format", "csv", "--key-separator", ","],
        ["produce", "x", "--key-separator", ""],
        ["consume", "x", "--from", "tomorrow"],
        ["consume", "x", "--partition", "-1"],
        ["consume", "x", "--max", "-1"],
        ["consume", "x", "--format", "xml"],
        ["consume", "x", "--group", "g", "--partition", "0"],
        ["consume", "x", "--group", ""],
        ["replay", "x"],
        ["replay", "x", "--from", "-1"],
        ["replay", "x", "--from", "1", "--to", "x"],
        ["replay", "x", "--from", "1", "--rate", "0"],
        ["replay", "x", "--from", "1", "--into", "y", "--format", "json"],
        ["groups", "nothing"],
        ["groups", "list", "--state", "sleeping"],
        ["groups", "describe"],
        ["groups", "reset", "g", "--topic", "t"],
        ["groups", "reset", "g", "--to", "earliest"],
        ["groups", "reset", "g", "--topic", "t", "--to", "1", "--shift-by", "1"],
        ["groups", "delete-offsets", "g"],
        ["crash-test", "--runs", "0"],
        ["completion", "powershell"],
        ["settings", "--set", "no.such.setting=1"],
        ["settings", "--set", "node.id"],
        ["settings", "--config", "no-such-file"],
        ["settings", "--server", "127.0.0.1:1", "--set", "node.id=1"],
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence_on_standard_error(arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: " in result.stderr


def test_a_failed_command_ends_with_1_and_a_sentence_on_standard_error():
    @main.command("fail-for-test")
    def fail() -> None:
        raise CommandFailed("It did not work.")

    try:
        result = CliRunner().invoke(main, ["fail-for-test"])
    finally:
        del main.commands["fail-for-test"]
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Error: It did not work.\n")


def test_an_interrupted_command_ends_with_130():
    @main.command("interrupt-for-test")
    def interrupt() -> None:
        raise KeyboardInterrupt

    try:
        result = CliRunner().invoke(main, ["interrupt-for-test"])
    finally:
        del main.commands["interrupt-for-test"]
    assert (result.exit_code, result.stdout) == (130, "")


def test_a_command_may_choose_its_exit_code():
    @main.command("exit-for-test")
    @click.pass_context
    def leave(ctx: click.Context) -> None:
        ctx.exit(7)

    try:
        result = CliRunner().invoke(main, ["exit-for-test"])
    finally:
        del main.commands["exit-for-test"]
    assert result.exit_code == 7


def test_a_closed_pipe_ends_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "logserver", "settings"]
    with open(writer, "wb") as closed_pipe:
        done = subprocess.run(command, stdout=closed_pipe, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_command_itself(shell):
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_LOGSERVER_COMPLETE" in done.stdout


def test_completion_knows_commands_and_options():
    # Under `python -m logserver` click derives another variable, so the command is asked the way the script asks it.
    code = "from logserver.cli import main; main(prog_name='logserver')"

    def ask(words: str, position: int) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"_LOGSERVER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)},
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert ask("logserver to", 1) == ["topics"]
    assert ask("logserver gr", 1) == ["groups"]
    assert sorted(ask("logserver groups ", 2)) == sorted(GROUPS)
    assert ask("logserver groups reset g --", 4) == [
        "--topic",
        "--to",
        "--shift-by",
        "--partition",
        "--dry-run",
        "--server",
        "--json",
        "--help",
    ]
    assert ask("logserver consume t --gr", 3) == ["--group"]
    assert ask("logserver replay t --in", 3) == ["--into"]
    assert ask("logserver produce t --fo", 3) == ["--format"]
    assert ask("logserver produce t --format ", 4) == ["lines", "json", "csv"]


def test_the_default_server_is_where_the_server_listens_by_default():
    assert ServerSettings().grpc_listeners == (DEFAULT_SERVER,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no log server answers", "No log server answers."),
        (
            "retention.m is not a setting; did you mean retention.ms?",
            "retention.m is not a setting; did you mean retention.ms?",
        ),
        ("127.0.0.1:1 is closed", "127.0.0.1:1 is closed."),
        ("Done.", "Done."),
    ],
)
def test_sentences(text, expected):
    assert sentence(text) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["produce", "--help"],
        ["groups", "reset", "--help"],
        ["topics", "list", "--server", "x"],
        ["completion", "bash"],
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(arguments):
    code = (
        "import sys\nfrom logserver.cli import main\n"
        f"try: main({arguments!r}, prog_name='logserver')\n"
        "except SystemExit: pass\n"
        "heavy = {'grpc', 'logserver_client', 'logserver.daemon', 'logserver.broker', 'structlog', 'kio', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1] == "[]"
