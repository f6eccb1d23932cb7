# Everything from nothing but Python (3.11 or newer) and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PROFILE ?= $(if $(shell command -v nvidia-smi 2>/dev/null),gpu,local)
LOCKED = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"
STUDIES = $(basename $(notdir $(wildcard config/studies/*.yaml)))
TORCH = $(shell grep '^torch' requirements.txt)
SNAKEMAKE = $(BIN)/snakemake $(addprefix --profile ,profiles/$(PROFILE) $(wildcard profiles/site))

.PHONY: help setup doctor quick local-cpu study table1 reference-report board tensorboard bench test faults slurm-test check lock generate site clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

setup: $(VENV)/.installed ## install everything into .venv; CPU=1: without CUDA

# Bytecode is compiled once, here: where Python may not write it (PYTHONDONTWRITEBYTECODE, a read-only folder), every process
# would compile all of torch again, for seconds.
# From the lock, with a digest of every file. With CPU=1, PyTorch comes from its own index for processors, which saves gigabytes
# of CUDA; these three packages have no digest then.
LOCK := $(if $(CPU),requirements-cpu.lock,requirements.lock)
$(VENV)/.installed: $(LOCK) pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(shell grep '^uv==' requirements.txt)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r $(LOCK)
	$(if $(CPU),$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --torch-backend cpu $(TORCH))
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

# Partitions and plans are brought up to date by a run of their own, so that cells follow their content (see Snakefile).
# Where something fails, the report is made from the rest, marks what is missing, and the exit code stays.
define study
	@results=$$($(BIN)/python -m flexifed results $(addprefix --config ,$(1))) || exit $$?; \
	code=0; \
	$(SNAKEMAKE) inputs --configfile $(1) || code=$$?; \
	$(SNAKEMAKE) --configfile $(1) || code=$$?; \
	if [ $$code -ne 0 ]; then \
		echo "Something failed, see above. The report is made from the cells that are there."; \
		$(SNAKEMAKE) --configfile $(1) --config partial=true --quiet all || exit $$code; \
	fi; \
	echo "Report: $$results/report.html"; \
	exit $$code
endef

quick: setup ## the whole pipeline on data that needs no download: results/quick/report.html
	$(call study,config/quick.yaml)

local-cpu: setup ## real data from a local copy on CPU cores, about an hour: see config/local-cpu.yaml
	$(call study,config/local-cpu.yaml)

study: setup ## one of config/studies, or your own: make study NAME=figure4 [OVERLAY="small ..."], make study CONFIG=mine.yaml
	$(call study,$(or $(CONFIG),config/studies/$(or $(NAME),$(error give NAME=, one of $(STUDIES), or CONFIG=your-own.yaml)).yaml) $(OVERLAY:%=config/overlays/%.yaml))

table1: setup ## the paper's Table 1 (120 training jobs; use a GPU or a cluster)
	$(call study,config/config.yaml)

reference-report: setup ## render what is in results/reference/full-width: tables, figures, report, README
	$(BIN)/python -m flexifed reference-report
	$(BIN)/python -m flexifed generate

board: setup ## every published number and claim beside ours, as a page: results/board.html
	$(BIN)/python -m flexifed board

doctor: setup ## what this machine has, and what will run on it in which time
	$(BIN)/flexifed doctor

tensorboard: setup ## watch the running cells of a study that says `tensorboard: true`: make tensorboard STUDY=quick (docs/live.md)
	$(BIN)/tensorboard --logdir results/$(or $(STUDY),$(error give STUDY=, a folder of results/))/tensorboard

bench: setup ## measure this machine: results/bench/bench.md and race.csv (about 20 minutes, on an otherwise idle machine)
	$(BIN)/python -m flexifed bench
	$(BIN)/python -m tests.scale.race results/bench/race.csv

# Three workers on two cores: one of them mostly waits for SLURM.
test: setup check ## all checks and tests
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -rs

slurm-test: setup ## the smoke study on a real one-node SLURM cluster (root, apt-get install slurm-wlm munge), and what happens to jobs
	SLURM_STUDY=smoke $(BIN)/python -m pytest tests/slurm -rs --durations=5

faults: setup ## the fault tests often, and a table: what was done, how often, what was lost
	FAULTS_COUNT=$(or $(COUNT),50) $(BIN)/python -m pytest tests/faults -n 2 --dist loadfile

check: setup ## formatting, lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy

# The second lock is the first one without PyTorch and what comes with it for GPUs.
CUDA = s/^\(torch\|torchvision\|torchaudio\|triton\|nvidia-[a-z0-9-]*\|cuda-[a-z]*\)==.*/--no-emit-package \1/p
lock: setup ## take the versions of requirements.txt, and what they need, into the locks
	$(LOCKED) --output-file requirements.lock requirements.txt
	cp requirements.lock requirements-cpu.lock
	$(LOCKED) $$(sed -n '$(CUDA)' requirements.lock) --output-file requirements-cpu.lock requirements.txt

generate: setup ## rewrite what is generated in config/, in docs/ and in READMEs
	$(BIN)/python -m flexifed generate

site: setup ## docs/ as a site, its links checked: results/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean: ## remove the environment and the results of quick
	rm -rf $(VENV) results/quick
