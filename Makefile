# Everything begins here: each target sets up .venv by itself when it is missing.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-slow soak fuzz lint lint-page format bench lock docs clean

demo: $(READY)  ## the main job on the built-in world
	$(BIN)/segue demo --overwrite

test: $(READY)  ## the test suite, under four minutes on two cores
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(READY)  ## the rest: kills, scale, all cases of large groups, more examples
	$(BIN)/pytest -n 2 --dist worksteal -m "slow or hypothesis" --hypothesis-profile=thorough

soak: $(READY)  ## the server for eight minutes, or more beside other work: 10,000 generated calls, 20 kills per event store
	SEGUE_SOAK=1 SEGUE_KILLS=20 $(BIN)/pytest -m slow \
		tests/server/test_schemathesis.py tests/server/test_kill_under_events.py

fuzz: $(READY)  ## damaged logs and folders: 2,000 of each format of logs, 500 folders
	PYTHONPATH=tests $(BIN)/python tests/fuzz/fuzz.py --logs 2000 --folders 500

lint: $(READY) lint-page  ## style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

lint-page:  ## the same for the page of the server, where npm is there
	@if ! command -v npm >/dev/null; then echo "the page is not checked: there is no npm"; \
	elif ! test -d node_modules && ! npm ci --silent --no-audit --no-fund --ignore-scripts; then \
		echo "the page is not checked: npm cannot install its tools"; \
	else npm run --silent lint; fi

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	test ! -d node_modules || npm run --silent format

bench: $(READY)  ## every benchmark: a table, then one JSON line each
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

docs: $(READY)  ## the pages that are generated from the code
	$(BIN)/python tools/generate_command_line.py
	$(BIN)/python tools/generate_architecture.py
	$(BIN)/python tools/generate_reference.py
	$(BIN)/python tools/generate_server_page.py

lock:  ## pin again (needs uv): no header, no index addresses
	uv pip compile --universal --python-version 3.11 --extra dev --no-header --no-annotate \
		--no-emit-index-url --quiet pyproject.toml -o requirements.lock

$(READY): requirements.lock pyproject.toml
	@if command -v uv >/dev/null; then \
		test -d .venv || uv venv --quiet --python $(PYTHON) .venv; \
		VIRTUAL_ENV=.venv uv pip install --quiet --compile-bytecode -r requirements.lock && \
		VIRTUAL_ENV=.venv uv pip install --quiet --no-deps --no-build-isolation -e .; \
	else \
		test -d .venv || $(PYTHON) -m venv .venv; \
		$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock && \
		$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $(READY)

clean:
	rm -rf .venv build dist demo-run
