# Each target is a line or two over plain commands; README.md shows them for Windows.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: course lab test bench

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else f'medkd needs Python 3.11 to 3.13, found {sys.version.split()[0]}: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $(READY)

course: $(READY)
	$(BIN)/medkd data make cxr3 -j 2
	$(BIN)/medkd data make brats2023_gli --patients 120 -j 2
	$(BIN)/medkd data make msd_task06_lung --patients 100 -j 2
	$(BIN)/medkd data make cmedl_private_mr_cohort --patients 28 -j 2
	$(BIN)/medkd data make react_kd_private_cohort --patients 120 -j 2
	$(BIN)/medkd data make hcc_tace_seg --patients 24 -j 2
	$(BIN)/medkd data make msd_task03_liver --patients 24 -j 2
	$(BIN)/medkd data make kits23 --patients 24 -j 2
	$(BIN)/medkd data make covid_radiography --patients 260 -j 2
	$(BIN)/medkd data make covid_qu_ex --patients 120 -j 2
	$(BIN)/medkd data make lung_pet_ct_dx --patients 36 --difficulty clear -j 2
	$(BIN)/medkd data make deeplesion --patients 40 --difficulty clear -j 2
	$(BIN)/medkd run all -j 2

test: $(READY)
	$(BIN)/python -m pytest -n 2

lab: $(READY)
	$(BIN)/jupyter lab notebooks

bench: $(READY)
	$(BIN)/python benchmarks/loop.py
	$(BIN)/python benchmarks/losses.py
	$(BIN)/python benchmarks/runner.py
	$(BIN)/python benchmarks/preprocess.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/phantoms.py
	$(BIN)/python benchmarks/cmedl_step.py
	$(BIN)/python benchmarks/region_graph.py
	$(BIN)/python benchmarks/gromov_wasserstein.py
	$(BIN)/python benchmarks/low_dose.py
	$(BIN)/python benchmarks/joint_sources.py
	$(BIN)/python benchmarks/react_step.py
	$(BIN)/python benchmarks/detection_step.py
