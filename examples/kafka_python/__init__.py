"""Programs of kafka-python users, each whole in its one file (but autoscaler); examples/README.md lists them.

They need the client: `pip install "kafka-python>=3"`. Run one with `python -m examples.kafka_python.NAME --help`.
"""
