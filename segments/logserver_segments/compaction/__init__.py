"""Compaction by key: which logs and what of them (`turns`, `eligible`), what survives (`survivors`), the worker's part
(`work`), the swap (`swap`), and what holds them together (`cleaner`).
"""
