# Each target first sets up what is missing. PYTHON selects another interpreter and TORCH_INDEX another package index for PyTorch,
# for example the CPU builds: make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu. EXTRAS adds optional dependencies of
# pyproject.toml, for example EXTRAS=onnx,vot; CONSTRAINTS= (empty) installs the newest version of every dependency.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3.10 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
TORCH_INDEX ?=
CONSTRAINTS ?= constraints.txt
PROFILE ?= mini
NOTEBOOK ?= 06
SIGMA ?= 0 0.3 0.5 0.7 0.9 1
SEEDS ?= 0
JOBS ?= 2
ENGINE ?= local
GPUS ?= 0
EXTRAS ?= $(filter ray,$(ENGINE))
MINUTES ?= 9
TRAIN ?=
TEST ?=
ROWS ?=
PACK ?= full
PACK_SEEDS ?=
GPU ?= cuda
KILLS ?= 5
ORT_WEB ?= 1.30.0

BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
TESTS := tests/smoke_notebooks.py tests
comma := ,
space := $(subst ,, )
commas = $(subst $(space),$(comma),$(strip $(1)))

# The name contains a hash of what determines the environment, its path included, so file times do not matter.
STAMP := .venv/.setup-$(firstword $(shell { pwd; echo $(EXTRAS); cat pyproject.toml $(CONSTRAINTS); } | cksum))

.PHONY: help setup data reproduce test notebooks sweep site lab bench torture gpu-pack gpu-run clean distclean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## make .venv with the package, its dependencies and the Jupyter kernel; does nothing if it is up to date
	@echo "setup: .venv is up to date"

$(STAMP):
	@test -n "$(PYTHON)" || { echo "setup: there is no Python 3.10 or newer; install python3.11 or name one with PYTHON=" >&2; exit 1; }
	@echo "setup 1/4: virtual environment .venv ($(PYTHON))"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "setup 2/4: PyTorch (the largest download)"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(if $(CONSTRAINTS),$$(grep '^torch==' $(CONSTRAINTS)),torch)
	@echo "setup 3/4: the package and its dependencies (some minutes)"
	@$(PIP) $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[$(call commas,test $(EXTRAS))]'
	@echo "setup 4/4: the Jupyter kernel"
	@$(BIN)/python -m ipykernel install --sys-prefix >/dev/null
	@rm -f .venv/.setup-* && touch $@

data: $(STAMP) ## write the synthetic benchmark (PROFILE=mini); DATASET=otb2015 ROOT=folder describes a real one and checks it
	@$(BIN)/scs-siam data $(if $(DATASET),--dataset $(DATASET) $(if $(ROOT),--root $(ROOT)),--profile $(PROFILE))

reproduce: $(STAMP) ## train, track and score all that is not up to date, then tables and figures (PROFILE=mini)
	@$(BIN)/scs-siam reproduce --profile $(PROFILE)

# The smoke runs come first, because two notebooks must not create them at the same time. One pytest session follows, with one summary
# for everything: all notebooks with profile=smoke, the tests, and the stored notebooks compared cell by cell with what they print now.
# Each process uses one thread, as in the target `notebooks`.
test: $(STAMP) ## ruff, import-linter, the tests, the stored notebooks (strict nbval) and every notebook with profile=smoke
	@$(BIN)/python -m ruff check --quiet && $(BIN)/python -m ruff format --check --quiet
	@PYTHONPATH=. $(BIN)/lint-imports --config pyproject.toml >/dev/null || { PYTHONPATH=. $(BIN)/lint-imports; exit 1; }
	@OMP_NUM_THREADS=1 $(BIN)/scs-siam reproduce --profile smoke --no-notebooks --jobs 2
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder \
		--nbval --nbval-current-env --nbval-cell-timeout=180 $(TESTS) $(NOTEBOOKS)

notebooks: $(STAMP) ## run every notebook with its defaults and store those that succeed
	@OMP_NUM_THREADS=1 $(BIN)/python -m scs_siam.tools.notebooks $(NOTEBOOKS)

sweep: $(STAMP) ## run NOTEBOOK for each SIGMA and each of SEEDS with PROFILE, JOBS at a time; ENGINE=ray GPUS=1: on a Ray cluster
	@$(BIN)/scs-siam sweep $(NOTEBOOK) profile=$(PROFILE) sigma=$(call commas,$(SIGMA)) --seeds $(call commas,$(SEEDS)) \
		$(if $(filter ray,$(ENGINE)),--engine ray --gpus $(GPUS),--engine $(ENGINE) --jobs $(JOBS))

site: $(STAMP) ## render notebooks, documents and API to build/site, to be read without a network
	@$(BIN)/python -c 'import latex2mathml, myst_nb, onnx, onnxruntime, sphinx_book_theme' 2>/dev/null || $(PIP) $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[site]'
	@test -d build/npm/node_modules/onnxruntime-web || ! command -v npm >/dev/null || \
		npm install --silent --ignore-scripts --prefix build/npm onnxruntime-web@$(ORT_WEB) || echo "site: npm has no network" >&2
	@$(BIN)/python -m sphinx -qW --keep-going -c docs . build/site && echo "site: open build/site/index.html"

lab: $(STAMP) ## open the notebooks in JupyterLab
	@$(BIN)/python -m jupyterlab --notebook-dir=.

bench: $(STAMP) ## measure speed: crop store, training, tracking
	@for what in track evaluate train data; do $(BIN)/scs-siam bench $$what || exit 1; done

gpu-pack: $(STAMP) ## code and data for a machine with a GPU, in parts of at most 50 MB (TRAIN=root TEST="NAME=root ..." [PACK=profile ROWS=a,b])
	@rm -rf build/gpu-pack
	@$(BIN)/python -m scs_siam.tools.pack make --profile $(PACK) --train "$(TRAIN)" --rows "$(ROWS)" --seeds "$(call commas,$(PACK_SEEDS))" --test $(TEST)

# This target needs no .venv: on a bare machine, PYTHON is any Python with PyTorch. Runs of an earlier call are kept.
gpu-run: ## train and evaluate the pack on this machine's GPU within MINUTES=9; runs are written to data/results/
	@mkdir -p build/gpu-run && for part in build/gpu-pack/part-*.tar; do tar xf $$part -C build/gpu-run || exit 1; done
	@python=$(if $(wildcard $(BIN)/python),$(abspath $(BIN)/python),$(PYTHON)); cd build/gpu-run && \
		PYTHONPATH=. $$python -m scs_siam.tools.pack run --minutes $(MINUTES) --device $(GPU)
	@tar xzf build/gpu-run/results.tar.gz

torture: $(STAMP) ## kill trainings, evaluations, stores, sweeps and reproduce KILLS times each and compare with uninterrupted ones
	@OMP_NUM_THREADS=1 $(BIN)/python tests/torture.py $(KILLS)

clean: ## remove what builds and tests left, but never data/, figures/ or .venv
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find scs_siam tests notebooks -name __pycache__ -o -name .ipynb_checkpoints 2>/dev/null | xargs rm -rf

distclean: clean ## clean, and remove .venv
	@rm -rf .venv
