"""Compaction by key.

Which logs and what of them: `schedule`, `eligible`. What survives: `survivors`. The part of a worker process: `work`.
How files change places: `swap`. What holds these together: `cleaner`.
"""
