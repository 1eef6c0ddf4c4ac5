"""The compiled codec is there, or the import says what to do."""

import os
import subprocess
import sys

import pytest
from logserver_records import codec


def test_without_the_compiled_codec_the_import_says_so():
    script = "import sys; sys.modules['aiokafka.record._crecords'] = None; import logserver_records"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "ImportError: logserver_records needs the compiled record codec of aiokafka" in done.stderr
    assert "install one of its wheels" in done.stderr


def test_an_encoder_that_copies_its_buffer_is_noticed(monkeypatch):
    original = codec.DefaultRecordBatchBuilder

    class Copying:
        def __init__(self, *arguments: int) -> None:
            self.encoder = original(*arguments)
            self.append = self.encoder.append
            self.size = self.encoder.size

        def build(self) -> bytearray:
            return bytearray(self.encoder.build())

    monkeypatch.setattr(codec, "DefaultRecordBatchBuilder", Copying)
    with pytest.raises(ImportError, match="doesn't share its encoder's buffer"):
        codec._check_encoder()


def test_the_python_only_mode_of_aiokafka_changes_nothing():
    script = "from logserver_records import codec; print(codec.DefaultRecordBatch.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "aiokafka.record._crecords.default_records", done.stderr
