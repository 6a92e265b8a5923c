# Everything runs from .venv, which is made when it is missing or older than the lists of what goes into it.
PYTHON ?= python3
RUN := .venv/bin/python
DEMO_SEED ?= 7
PROCESSES ?= 3
TESTS := $(RUN) -m pytest -rfEs --durations=15
# `make coverage` counts lines in the programs that tests start, too, and takes half as long again as `make test`.
COVER_FIRST := $(if $(COVER),--cov --cov-report=)
COVER_LAST := $(if $(COVER),--cov --cov-append --cov-report=term:skip-covered)
# In CI, tests that need a real Blender must run; elsewhere they are skipped where one cannot be had.
BLENDERS_HERE := packaging/blenders.py $(if $(filter true,$(CI)),--required)

.PHONY: setup demo addon dist release test coverage slow lint bench blenders clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit('texserver needs Python 3.11 or newer; say make PYTHON=python3.11' if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --constraint constraints.txt torch
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch .venv/ready

# Makes three materials of the starter library and shows them lit, serves them, and asks for 2048 x 1024 pixels of one.
# Two pictures stay in demo/ for the commands of the README: leaves and bricks.
demo: setup
	mkdir -p demo
	$(RUN) -c "from pathlib import Path; from trainer.judge.pictures import write_picture; from server.model.starter import chosen; from trainer.starter.library import draw; from trainer.starter.photograph import photograph; write_picture(Path('demo/leaves.png'), photograph(draw(*chosen(['leaves']), 768)))"
	$(RUN) -c "from pathlib import Path; from tests.drawn import running_bond; from trainer.judge.pictures import as_picture, write_picture; write_picture(Path('demo/bricks.png'), as_picture(running_bond()))"
	$(RUN) -m trainer.starter --out demo/models --sheet demo/starter.png bricks stone_wall leaves
	.venv/bin/texserver --models demo/models --connection-file demo/connection.json & server=$$!; \
	for second in 1 2 3 4 5 6 7 8 9 10; do [ -e demo/connection.json ] || sleep 1; done; \
	.venv/bin/texget stone_wall --connect demo/connection.json --seed $(DEMO_SEED) --size 2048x1024 --map basecolor \
		--output demo/wall-2048x1024.png; code=$$?; kill $$server; wait $$server; exit $$code
	@echo "Look at demo/starter.png (materials, lit) and demo/wall-2048x1024.png (it tiles without a seam)."

# The Blender extension as two zips, and the static repository that gives each Blender its own: dist/extension/.
addon: setup
	$(RUN) packaging/blenders.py --required 4.5.15
	$(RUN) packaging/addon.py

# The sdist and the wheel, as `pip install` takes them: dist/texserver-VERSION*.
dist: setup
	$(RUN) packaging/distribution.py

# All that belongs to a release: the extension and its repository, sdist, wheel, notes and checksums: dist/release/.
release: setup
	$(RUN) packaging/blenders.py --required 4.5.15
	$(RUN) packaging/release.py

# In three processes, since tests wait for servers, and then, when nothing else runs, what holds a bound on time or
# memory.
test: blenders
	$(TESTS) -m "not slow and not gpu and not serial" -n $(PROCESSES) --dist worksteal $(COVER_FIRST); first=$$?; \
	$(TESTS) -m "serial and not slow and not gpu" $(COVER_LAST) && exit $$first

blenders: setup
	$(RUN) $(BLENDERS_HERE) 4.5.15 5.2.3

coverage:
	$(MAKE) test COVER=1

slow: blenders
	$(RUN) packaging/blenders.py 4.2.23 5.0.1
	$(TESTS) -m "slow"

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

bench: setup
	$(RUN) benchmarks/generate.py
	$(RUN) benchmarks/quilt.py
	$(RUN) benchmarks/large_quilt.py
	$(RUN) benchmarks/train.py
	$(RUN) benchmarks/memory.py
	$(RUN) benchmarks/serve.py
	$(RUN) benchmarks/front.py
	$(RUN) benchmarks/stylize.py
	$(RUN) packaging/blenders.py --required 4.5.15
	$(RUN) benchmarks/in_blender.py

clean:
	rm -rf .venv .blender build dist *.egg-info demo
