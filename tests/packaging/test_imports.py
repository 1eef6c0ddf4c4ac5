"""Arrows that the import contracts in pyproject.toml cannot draw."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from .conftest import ROOT

CLIENT_MAY_IMPORT = ("logserver_client.", "logserver_records.", "logserverpb.", "grpc.", "google.protobuf.")
"""The last is the runtime of the generated messages."""


def trees(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_bytes())


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "." * node.level


def test_the_bundled_client_imports_record_batches_messages_grpc_and_the_standard_library_only() -> None:
    found = {
        f"{path}: {module}"
        for path, tree in trees(ROOT / "clients")
        for module in imported(tree)
        if module.split(".")[0] not in sys.stdlib_module_names and not f"{module}.".startswith(CLIENT_MAY_IMPORT)
    }
    assert not found


def test_only_the_daemon_starts_grpc_servers() -> None:
    def starts_a_server(tree: ast.Module) -> bool:
        calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        return any(ast.unparse(call) in {"grpc.server", "grpc.aio.server", "aio.server"} for call in calls)

    starters = {str(path) for path, tree in trees(ROOT / "logserver") if starts_a_server(tree)}
    assert all(path.startswith("logserver/daemon") for path in starters)
