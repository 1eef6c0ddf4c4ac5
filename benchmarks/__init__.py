"""Measurements, one script a claim: `python -m benchmarks.streams --help`; `make bench` runs them all."""
