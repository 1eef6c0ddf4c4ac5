"""A demonstration with a year of flights: stored, killed, restarted, replayed, shared, and checked from what is read.

Run it with `make demo`, or `python -m examples.flights` where the log server is installed.
"""
