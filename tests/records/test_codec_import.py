"""The compiled codec is there and as expected, or the import says what to do."""

import os
import subprocess
import sys

COPYING_ENCODER = """
from aiokafka.record import _crecords

class Copying:
    def __init__(self, *arguments):
        self.encoder = original(*arguments)
        self.append = self.encoder.append
        self.size = self.encoder.size

    def build(self):
        return bytearray(self.encoder.build())

original = _crecords.DefaultRecordBatchBuilder
_crecords.DefaultRecordBatchBuilder = Copying
import logserver_records
"""


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


def test_without_the_compiled_codec_the_import_says_so():
    done = run("import sys; sys.modules['aiokafka.record._crecords'] = None; import logserver_records")
    assert done.returncode == 1
    assert "ImportError: logserver_records needs the compiled record codec of aiokafka" in done.stderr
    assert "install one of its wheels" in done.stderr


def test_an_encoder_that_copies_its_buffer_is_noticed_at_import():
    done = run(COPYING_ENCODER)
    assert done.returncode == 1
    assert "ImportError: this version of aiokafka doesn't share its encoder's buffer" in done.stderr


def test_the_python_only_mode_of_aiokafka_changes_nothing():
    script = "from logserver_records import codec; print(codec.DefaultRecordBatch.__module__)"
    done = run(script, AIOKAFKA_NO_EXTENSIONS="1")
    assert done.stdout.strip() == "aiokafka.record._crecords.default_records", done.stderr
