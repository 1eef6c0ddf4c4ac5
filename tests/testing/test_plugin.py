"""The pytest plugin: found by installation, imports nothing until the fixture is used."""

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

HEAVY = (
    "grpc",
    "google",
    "uvloop",
    "kio",
    "msgspec",
    "structlog",
    "logserver.",
    "logserver_",
    "logserverpb",
    "aiokafka",
)
"""What a test run that does not use the fixture must not pay for."""

PRINT_HEAVY = f"""
import sys
heavy = {HEAVY!r}
loaded = [name for name in sys.modules if name.startswith(heavy) and name != "logserver.pytest_plugin"]
print("loaded:", loaded)
"""


def test_importing_the_plugin_imports_nothing_of_the_server() -> None:
    code = "import pytest, logserver.pytest_plugin\n" + PRINT_HEAVY
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "loaded: []\n"


def test_importing_the_package_of_the_embedded_server_imports_nothing_either() -> None:
    code = "import logserver.testing\n" + PRINT_HEAVY.replace('"logserver.pytest_plugin"', '"logserver.testing"')
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "loaded: []\n"
    code += "logserver.testing.LogServer\nassert 'grpc' in sys.modules\n"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import logserver.testing\nlogserver.testing.Nothing\n"
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "has no attribute 'Nothing'" in failed.stderr


def test_a_run_that_does_not_use_the_fixture_does_not_import_it(pytester: pytest.Pytester) -> None:
    body = PRINT_HEAVY.replace("\n", "\n    ")
    pytester.makepyfile(f"def test_nothing():\n    {body}\n    assert loaded == []\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_each_test_has_a_server_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import grpc
        import pytest
        from logserverpb.v1 import admin_pb2, admin_pb2_grpc

        seen = []

        @pytest.mark.parametrize("turn", [1, 2])
        def test_topics(log_server, turn):
            with grpc.insecure_channel(log_server.grpc) as channel:
                admin = admin_pb2_grpc.AdminStub(channel)
                assert not admin.ListTopics(admin_pb2.ListTopicsRequest()).topics
                admin.CreateTopic(admin_pb2.CreateTopicRequest(name="t"))
            seen.append((log_server.grpc, log_server.data_dir))

        def test_the_servers_are_gone():
            import os
            assert len(set(seen)) == 2
            assert not any(os.path.exists(data_dir) for _, data_dir in seen)

        def test_failing(log_server):
            seen.append((log_server.grpc, log_server.data_dir))
            assert False

        def test_the_failing_one_is_gone_too():
            import os
            assert not os.path.exists(seen[-1][1])
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=4, failed=1)


def test_the_fixture_is_listed_with_its_words(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--fixtures", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*log_server*", "*running log server*"])
