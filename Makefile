# Everything a newcomer runs. Needs Python 3.11 or newer and nothing else: what is used is installed into .venv once,
# in the pinned versions of requirements/*.txt. The package itself runs from this checkout.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TOOLS  := build/tools
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The files name every package, so nothing has to be resolved. Python compiles a module when it is first imported, and
# keeps the result: a shell that forbids it has each of a thousand processes compile everything anew.
PINNED := --no-deps --no-compile
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest -p tests.support.require_services
# On another database nothing else can differ.
OTHER_DB := -p tests.support.only_database
# What needs no service and is not slow. There is nothing of it in the folders that are left out, and they import much.
QUICK  := "not services and not browser and not slow" --ignore=tests/browser --ignore=tests/stock_clients \
	--ignore=tests/upstream/real

# They run many processes at PostgreSQL.
RACES  := tests/races tests/grants tests/growth tests/vault

.DEFAULT_GOAL := help
.PHONY: help demo serve serve-themed test test-slow test-postgresql test-services services-clients services-legacy services-others services-races \
	test-pgbouncer test-mariadb test-browser upstreams clients interop mutants matrix lint types style ready bench docs dist pins clean

help:  ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/demo.stamp  ## The whole flow in the terminal, with what stands in the database at each step
	@$(BIN)/python manage.py demo

serve: $(VENV)/demo.stamp  ## The example site and its upstream, for a browser
	@$(BIN)/python manage.py serve_demo

serve-themed: $(VENV)/demo.stamp  ## The same with a look of its own: name, logo, colours, one template
	@DJANGO_SETTINGS_MODULE=example_project.settings_themed $(BIN)/python manage.py serve_demo

test: $(VENV)/dev.stamp  ## Linters, types, layers, migrations, and every test that needs no service and is not slow
	@$(MAKE) --no-print-directory -j2 --output-sync=target types style ready
	$(PYTEST) -n 3 -m $(QUICK)

test-slow: $(VENV)/dev.stamp  ## The tests that repeat, flood, kill or start many processes
	$(PYTEST) -n 3 -m "slow and not services and not browser"

test-postgresql: $(VENV)/dev.stamp  ## What uses the database on PostgreSQL, but for what is slow (LAZYAUTH_TEST_POSTGRES_URL)
	LAZYAUTH_TEST_DATABASE=postgresql $(PYTEST) -n 3 $(OTHER_DB) -m $(QUICK)

test-services: $(VENV)/dev.stamp test-postgresql  ## The same, and what needs Redis, Celery or Node.js
	$(MAKE) -j3 --output-sync=target services-others services-races services-clients services-legacy

# Each has its own database in PostgreSQL and its own keys in Redis. One of them alone has workers of Celery.
services-clients:
	LAZYAUTH_TEST_DATABASE=postgresql $(PYTEST) -m "services and not browser" --ignore=tests/stock_clients/matrix tests/stock_clients
services-legacy:
	LAZYAUTH_TEST_DATABASE=postgresql $(PYTEST) -m "services and not browser" tests/legacy
services-races:
	LAZYAUTH_TEST_DATABASE=postgresql $(PYTEST) -m "services and not browser" $(RACES)
services-others:
	LAZYAUTH_TEST_DATABASE=postgresql $(PYTEST) -m "services and not browser" --ignore=tests/legacy --ignore=tests/upstream/real \
		--ignore=tests/stock_clients $(RACES:%=--ignore=%)

test-pgbouncer: $(VENV)/dev.stamp  ## The core folders and the legacy migration behind PgBouncer in transaction mode
	.ci/pgbouncer $(PYTEST) -n 2 $(OTHER_DB) -m $(QUICK) tests/legacy tests/grants tests/vault \
		tests/sessions tests/sign_in

test-mariadb: $(VENV)/dev.stamp  ## The core flow, races and the legacy migration on MariaDB (LAZYAUTH_TEST_MARIADB_URL)
	LAZYAUTH_TEST_DATABASE=mariadb $(PYTEST) -n 2 $(OTHER_DB) -m "not slow" tests/grants/test_exchange.py tests/grants/test_invariants.py \
		tests/grants/test_rotation.py tests/sessions/test_ending.py tests/vault/test_store.py tests/legacy/test_command.py \
		tests/legacy/test_data_migration.py tests/legacy/test_identities.py tests/legacy/test_left.py \
		tests/legacy/test_subjects.py tests/legacy/test_table.py
	LAZYAUTH_TEST_DATABASE=mariadb $(PYTEST) tests/races/test_isolation.py tests/races/test_delegation_isolation.py

test-browser: $(VENV)/dev.stamp  ## The tests that drive a real Chromium
	$(PYTEST) -m browser

upstreams: $(VENV)/dev.stamp  ## Sign in with real providers of npm and PyPI, and write docs/compatibility.md
	$(PYTEST) -p tests.upstream.real.table tests/upstream/real

clients: $(VENV)/dev.stamp  ## Clients of npm and PyPI in each way that they can ask, and write docs/compatibility.md
	$(PYTEST) -p tests.stock_clients.matrix.table tests/stock_clients/matrix

# One after the other: both write docs/compatibility.md.
interop:
	$(MAKE) upstreams
	$(MAKE) clients

mutants: $(VENV)/dev.stamp  ## Break one line of the product after the other, and see that its tests fail (ONLY="a name")
	$(BIN)/python -m tests.mutants $(ONLY)

matrix:  ## The core on each Python and each set of versions that is supported (FULL=1: each with each)
	.ci/matrix

lint: types style  ## Linters, types and layers only

types: $(VENV)/dev.stamp
	$(BIN)/mypy

style: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# Beside mypy, in one process: in a fresh clone each worker of pytest would compile every module and migrate a database
# for itself. Whatever cannot be collected is told by the tests.
ready: $(VENV)/dev.stamp
	$(BIN)/python manage.py makemigrations --check --dry-run
	@DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m tests.support.migrated
	-@$(PYTEST) -n 0 --collect-only -m $(QUICK) > /dev/null 2>&1

bench: $(VENV)/dev.stamp  ## What the exchange costs, beside the stock toolkit
	$(BIN)/python -m tests.benchmarks

# Sphinx and twine have an environment of their own: no test needs them.
docs: $(VENV)/dev.stamp $(TOOLS)/stamp  ## The documentation site in build/docs, each warning an error
	$(BIN)/python -m tests.docs.diagrams build/diagrams
	$(TOOLS)/bin/sphinx-build --fail-on-warning --keep-going --quiet -b html docs build/docs

dist: $(TOOLS)/stamp  ## Wheel and source distribution in dist, checked
	rm -rf dist
	$(TOOLS)/bin/python -m hatchling build -d dist
	$(TOOLS)/bin/twine check --strict dist/*

$(TOOLS)/stamp: requirements/tools.txt | $(BIN)/python
	$(BIN)/python -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip --disable-pip-version-check --quiet install $(PINNED) -r requirements/tools.txt
	@touch $@

clean:  ## Remove what the targets above made
	rm -rf $(VENV) var build dist .lazyauth .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: requirements/demo.txt | $(BIN)/python
	$(PIP) install $(PINNED) -r requirements/demo.txt
	@touch $@

# dev.txt holds everything of the other two, in the same versions.
$(VENV)/dev.stamp: requirements/dev.txt requirements/demo.txt | $(BIN)/python
	$(PIP) install $(PINNED) -r requirements/dev.txt
	@touch $@ $(VENV)/demo.stamp

# For maintainers: choose the versions anew. Needs uv, and for the lowest versions .venv.
COMPILE_FOR = uv pip compile --quiet --upgrade --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	--python-version
COMPILE = $(COMPILE_FOR) 3.11
pins:
	$(COMPILE) pyproject.toml --all-extras --group dev --output-file requirements/dev.txt
	$(COMPILE) --group pyproject.toml:tools --output-file requirements/tools.txt
	$(COMPILE) pyproject.toml --extra celery --extra redis --extra postgres \
		--constraints requirements/dev.txt --output-file requirements/base.txt
	echo 'django>=6.1' | $(COMPILE_FOR) 3.12 - --output-file requirements/django61.txt
	$(BIN)/python -m tests.support.floors | $(COMPILE) - --output-file requirements/lowest.txt
	printf 'authlib\nbeautifulsoup4\nrequests\n' | $(COMPILE) pyproject.toml - --extra progress --extra client \
		--constraints requirements/dev.txt --output-file requirements/demo.txt
