"""The storage engine: partition logs of segment files with offset and time indexes. No networking."""
