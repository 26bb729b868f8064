# SPDX-License-Identifier: Apache-2.0
# make test, make demo: both set up .venv/ and install/ first, once. make help lists the rest.
# FPT_ROS_DISTRO=kilted uses .venv-kilted/ and install-kilted/. PYTHON: 3.10 to 3.14.
# (Not ROS_DISTRO, which a shell has where another ROS is installed.)

SHELL := /bin/bash
FPT_ROS_DISTRO ?= jazzy
PYTHON ?= python3
export FPT_ROS_DISTRO PYTHON

suffix := $(if $(filter-out jazzy,$(FPT_ROS_DISTRO)),-$(FPT_ROS_DISTRO))
venv := .venv$(suffix)
install := install$(suffix)
venv_inputs := constraints.txt pyproject.toml scripts/make_venv.sh scripts/fix_wheel_paths.py
# Two makes at once wait for each other where they write the same files.
locked := flock Makefile
in_environment := . scripts/env.sh &&

package_files := CMakeLists.txt package.xml $(wildcard msg/*.msg srv/*.srv action/*.action) \
	$(shell find examples fpt_ros launch config recordings scripts/nodes -not -name __pycache__ -not -name '*.pyc')

.PHONY: help build test lint demo planner-demo web web-film web-static clean
.PRECIOUS: $(venv)/.ready-%

help:
	@echo "make test                          lint, type checks and all tests"
	@echo "make demo [IMAGE=photo.jpg POKE=x,y,dx,dy]   the node on a recording or a picture"
	@echo "make planner-demo [TASK=open]      a planner in simulation, closed loop; or opening doors"
	@echo "make web [FOLDER=pictures]         the demo in the browser; prints its address"
	@echo "make web-static [CHECKPOINT=...]   the demo as a folder for any file server, without Python"
	@echo "make build                         the environment and the ROS package"
	@echo "make venv-EXTRA                    adds an extra of pyproject.toml: sim, train, test"
	@echo "make lint                          ruff and mypy"
	@echo "make clean                         remove what was built (rm -r $(venv): the environment)"

build: $(install)/.built

# ROS and what the demo needs; each extra adds to it.
$(venv)/.ready: $(venv_inputs)
	@$(locked) scripts/make_venv.sh $(venv)

$(venv)/.ready-%: $(venv)/.ready
	@$(locked) scripts/make_venv.sh $(venv) $*

venv-%: $(venv)/.ready-%
	@echo "$(venv) has what the extra $* needs; . scripts/env.sh puts a shell into it"

$(install)/.built: $(venv)/.ready scripts/build.sh scripts/env.sh $(package_files)
	@$(locked) scripts/build.sh $(install)

lint: $(venv)/.ready-test
	$(in_environment) ruff check . && mypy

test: build lint
	@scripts/need_osmesa.sh
	@scripts/need_chromium.sh
	@scripts/need_npm.sh
	$(in_environment) python -m pytest $(TESTS)

demo: build
	@$(in_environment) python -m fpt_ros.apps.demo \
		$(if $(IMAGE),--image="$(IMAGE)") $(if $(POKE),--poke="$(POKE)")

planner-demo: build $(venv)/.ready-sim
	@scripts/need_osmesa.sh
	@$(in_environment) python -m fpt_ros.apps.planner_demo $(if $(TASK),--task=$(TASK)) \
		$(if $(SCENES),--scenes=$(SCENES))

web: build $(venv)/.ready-web
	@$(in_environment) python -m fpt_ros.web $(if $(FOLDER),"$(FOLDER)")

web-film: build $(venv)/.ready-test
	@scripts/need_chromium.sh
	@$(in_environment) python -m fpt_ros.web.film

# The page without a server, in web-static/; the export takes a minute or two.
web-static: build $(venv)/.ready-web $(venv)/.ready-onnx
	@scripts/need_npm.sh
	@$(in_environment) python -m fpt_ros.export --onnx build$(suffix)/onnx \
		$(if $(CHECKPOINT),--checkpoint="$(CHECKPOINT)")
	@$(in_environment) python -m fpt_ros.web.static_page --model build$(suffix)/onnx

clean:
	rm -rf build$(suffix) $(install) log$(suffix) demo planner-demo web-static
