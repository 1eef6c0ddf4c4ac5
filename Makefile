# Every target works alone in a fresh clone: it makes the virtual environment .venv and installs what it needs there.
# A Python of 3.11 or later is looked for; `make PYTHON=/path/to/python setup` names one.

VENV := .venv
WORKERS ?= 3
BIN := $(VENV)/bin
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench
PROTO := $(sort $(wildcard proto/logserverpb/v1/*.proto))
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11

.NOTPARALLEL:
.PHONY: help setup demo run test test-full proof differential other-clients bench bench-quick lint generated proto clean clients segments tests

help:
	@echo "make demo       real flight records through a real server: stored, killed, restarted, replayed, checked"
	@echo "make test       the tests, without the long proofs"
	@echo "make test-full  the tests with the long proofs"
	@echo "make proof      a thousand runs of the crash test, over 10,000 states that crashes leave; prints its time"
	@echo "make other-clients  fetches Apache Kafka's tools and KafkaJS, for their tests; without them these are left out"
	@echo "make differential  the same requests to Apache Kafka 4.3.1 and to this server: what differs (needs java and mvn)"
	@echo "make bench      this server beside Apache Kafka, Tansu, Redis, NATS, RabbitMQ: 105 minutes; report in benchmarks/report"
	@echo "make bench-quick  the same in three minutes beside Apache Kafka, and what got slower since the last report"
	@echo "make run        a server on 127.0.0.1:50051, data in ./logserver-data (ARGS='...' adds options)"
	@echo "make lint       style, types, import arrows, generated code"
	@echo "make proto      generates the Python code of the .proto files"
	@echo "make setup      .venv with everything for development"
	@echo "make clean      removes .venv, builds and caches"

setup: $(DEV)

demo: $(RUN)
	$(BIN)/python -m examples.flights $(ARGS)

run: $(RUN)
	$(BIN)/logserver serve $(ARGS)

test: $(DEV)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not long" $(ARGS)

test-full: $(DEV)
	$(BIN)/python -m pytest $(ARGS)

proof: $(RUN)
	$(BIN)/logserver crash-test --runs 1000 $(ARGS)

other-clients:
	@tests/other_clients/fetch

differential: $(DEV)
	$(BIN)/python -m tests.differential $(ARGS)

bench: $(BENCH)
	$(BIN)/python -m benchmarks.peers fetch
	$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(BENCH)
	$(BIN)/python -m benchmarks.peers fetch kafka
	$(BIN)/python -m benchmarks --three-minutes $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@$(MAKE) --no-print-directory generated

proto: $(DEV)
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out=proto --pyi_out=proto --grpc_python_out=proto $(PROTO)

# The committed code is what the .proto files generate now.
generated: $(DEV)
	@$(BIN)/python -c 'import grpc_tools' 2>/dev/null || \
		{ echo "Generated code is not checked: grpcio-tools 1.74 has no build for this Python"; exit 0; }; \
	rm -rf build/generated && mkdir -p build/generated && \
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out=build/generated --pyi_out=build/generated \
		--grpc_python_out=build/generated $(PROTO) || exit 1; \
	for file in $$( (cd build/generated && find . -type f; cd ../../proto && find . -name '*_pb2*.py' -o -name '*_pb2*.pyi') | sort -u); do \
		cmp -s "build/generated/$$file" "proto/$$file" || stale="$$stale proto/$${file#./}"; \
	done; \
	if [ -n "$$stale" ]; then echo "not what the .proto files generate (run make proto):$$stale"; exit 1; fi; \
	echo "Generated code is fresh"

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: an environment is made once, and its packages are installed again when pyproject.toml has changed.
$(BIN)/python:
	@for python in $(PYTHON); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "No Python 3.11 or later found (tried: $(PYTHON)): install one, or name it with make PYTHON=/path/to/python."; exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUN): pyproject.toml | $(BIN)/python
	@echo "Installing the log server into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	@echo "Installing the log server and its development tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(RUN)

$(BENCH): pyproject.toml | $(BIN)/python
	@echo "Installing the log server and the clients of its peers into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@ $(RUN)
