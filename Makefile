# Everything here is also `python -m course ...`, for people without make.
PYTHON ?= python3
python := .venv/bin/python
# One thread per process, and no spinning while waiting: see CONTRIBUTING.md.
export OMP_NUM_THREADS = 1
export OMP_WAIT_POLICY = PASSIVE

.DEFAULT_GOAL := help
.PHONY: help lab check test bench bake grade site doctor clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

lab: .venv/.course  ## open the course in JupyterLab; your own copies are in course/work
	@$(python) -m course lab $(ARGS)

check: .venv/.course  ## say which of your answers pass: make check CHAPTER=11
	@$(python) -m course check $(CHAPTER) || true  # an answer not yet right is no error

test: .venv/.test  ## check everything, or only make test CHAPTER=13
	@$(python) -m course test $(if $(CHAPTER),--chapter $(CHAPTER)) $(ARGS)

bench: .venv/.bench  ## run the benchmarks and store their results
	@$(python) -m course bench

bake: .venv/.course  ## run chapters, store their outputs: make bake CHAPTER=11, or all
	@$(python) -m course bake $(CHAPTER)

grade: .venv/.course  ## grade submissions: make grade SUBMISSIONS=folder
	@$(python) -m course grade $(if $(SUBMISSIONS),"$(SUBMISSIONS)")

site: .venv/.docs  ## build the web site in course/site/_build/html
	@$(python) -m course site

doctor: .venv/.course  ## check this installation and say what to do about it
	@$(python) -m course doctor

clean: .venv/.course  ## remove what is generated; never course/work
	@$(python) -m course clean

# Installed once, and again when the requirements change.
.venv/.%: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing into .venv: a few minutes, about 2 GB, more with CUDA (README.md)"
	$(python) -m pip install --quiet --constraint constraints.txt --editable ".[$*]"
	@touch $@

# JupyterHub's proxy is a program for Node; the versions are those of the lock file.
.venv/.proxy: course/hub/package-lock.json | .venv/bin/python
	mkdir -p .venv/proxy
	cp course/hub/package.json course/hub/package-lock.json .venv/proxy
	npm ci --prefix .venv/proxy --no-audit --no-fund
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; $(PYTHON) is older:" \
		"try make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
