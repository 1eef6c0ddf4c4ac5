"""Programs of confluent-kafka users, each whole in its one file; examples/README.md lists them.

They need the client: `pip install confluent-kafka`. Run one with `python -m examples.confluent_kafka.NAME --help`.
"""
