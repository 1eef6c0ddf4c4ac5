"""Programs of those who use work queues with the bundled client; examples/README.md lists them.

They need the client, which comes with the server: `pip install .` in the sources. Run one with
`python -m examples.queues.NAME --help`.
"""
