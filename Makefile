# Two commands matter: `make demo` and `make test`. Both need only Python 3.11+ and this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt

.PHONY: help demo test soak check format bench results clean

help:
	@echo "make demo     environment, then a lab on real data, ending in its verdict and report"
	@echo "make test     environment, then style, types and the test suite (under 12 minutes)"
	@echo "make soak     what is long or needs Debian's packages: kills, simulations, the browser"
	@echo "make check    style and types only (what pre-commit runs)"
	@echo "make format   let ruff mend style"
	@echo "make bench    speed and memory against peers, as ratios (installs the peers)"
	@echo "make results  verdicts at full scale, only what is stale (needs MNIST and Fashion-MNIST)"
	@echo "make clean    remove the environment and caches; runs/ stays"

$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the exact versions of constraints.txt (a few minutes the first time)"
	$(PIP) -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) -e ".[dev]"
	touch $@

demo: $(VENV)/installed
	$(BIN)/practicum run dropout
	@echo
	@echo "Open the report in a browser: $(BIN)/practicum open dropout"

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: check
	$(BIN)/pytest -m "not soak" -n 2 --dist loadgroup

soak: $(VENV)/installed-dev
	$(BIN)/pytest -m soak

$(VENV)/installed-bench: $(VENV)/installed benchmarks/requirements.txt
	$(PIP) -r benchmarks/requirements.txt
	touch $@

bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks

results: $(VENV)/installed
	$(BIN)/python -m practicum.report.results

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
