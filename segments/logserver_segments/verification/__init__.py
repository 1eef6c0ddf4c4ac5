"""Checking the directory of a stopped server, and repairing it.

`directory.examine` looks at the whole directory and gives a `task.Task` for each part that can be looked at by itself;
`task.check` does one, in whatever process; `conclude.conclude` puts together what they found; `repair.repair` does what
the findings say that it would do. A task walks over batches (`batches`) and holds against them what is derived from
them: indexes (`indexes`), transaction indexes (`aborted`), producer snapshots (`states`).
"""
