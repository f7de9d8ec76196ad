# `make demo` and `make test` need Python >= 3.11 and nothing else. What they use is installed into
# .venv, at the versions and hashes of requirements.lock. PYTHON=/path/to/python3 chooses a Python;
# without it, the first on PATH that is new enough serves.

BIN := .venv/bin
INSTALLED := .venv/.installed
PYTEST := $(BIN)/pytest -n 2

.PHONY: install demo run test test-long chaos stripe-contract check bench proto lock clean

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml scripts/install.sh
	sh scripts/install.sh

demo: install
	$(BIN)/python scripts/demo.py

run: install
	$(BIN)/creditgate up

test: install
	@echo "The whole suite takes 11 to 17 minutes on two cores."
	$(PYTEST)

test-long: install
	$(PYTEST) --long

chaos: install
	$(BIN)/pytest --chaos tests/chaos

# Needs Go: Stripe's own description of its API checks every request of ours.
stripe-contract: install
	GOBIN=$(CURDIR)/$(BIN) go install github.com/stripe/stripe-mock@v0.203.0
	$(BIN)/pytest -q tests/payments/stripe_contract.py

check: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/gen_proto.py --check
	$(BIN)/python scripts/gen_openapi.py --check

bench: install
	$(BIN)/python benchmarks/bench.py

proto: install
	$(BIN)/python scripts/gen_proto.py
	$(BIN)/python scripts/gen_openapi.py

lock: install
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  --extra stripe --group dev pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  --constraint requirements.lock --group build pyproject.toml \
	  --output-file gate/shipped/docker/requirements.lock

clean:
	rm -rf .venv
