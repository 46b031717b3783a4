# Everything here is a thin call: scripts/ and the `koch` command do the work.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check area bench bitstream bless boards book client cocotb coverage faults formal fuzz \
	fuzz-import lint mutants networks postsynthesis signoff sizes unknown

KOCH := cargo run --release --quiet --bin koch --
NETWORKS := alexnet densenet121 googlenet mobilenetv1 mobilenetv2 resnet50 shufflenet squeezenet vgg16
BOOK := alexnet googlenet resnet50
SIZED := alexnet googlenet mobilenetv1 mobilenetv2 resnet50 squeezenet vgg16
# Configs that a client from outside drives, with buses of 32 and 64 bits; wider ones take Icarus minutes a run.
CLIENT := testbench/formal/least.toml random-1-12
CLIENTS := $(addprefix out/client/,$(basename $(notdir $(CLIENT))))
BOARD ?= ulx3s-85f
N ?= 2000
SEED ?= 1
SECONDS ?= 600

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what the project needs (Debian 12)
	@scripts/setup.sh

demo: setup ## Run the demonstration
	$(KOCH) demo

test: setup check ## Checks, then every test
	cargo test --workspace --release

check: ## Formatting, lints and documentation, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --release --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --release --no-deps

bench: setup out/zoo/resnet50-int8.onnx ## Measure speed
	$(KOCH) bench

out/zoo/%-int8.onnx: scripts/make_zoo.py
	scripts/setup.sh fixtures
	.tools/venv/bin/python scripts/make_zoo.py out/zoo --only $*

bitstream: setup ## A bitstream: BOARD=ulx3s-85f (koch boards lists them)
	$(KOCH) bitstream --board $(BOARD)

boards: setup ## Every board and config of README.md's matrix
	cargo build --release
	scripts/boards.py

postsynthesis: setup ## Layers and a network on the netlist after synthesis
	mkdir -p out
	cargo test --release --package testbench --test synthesis -- --ignored --nocapture > out/synthesis.txt
	grep '^|' out/synthesis.txt | scripts/page.py synthesis

area: setup ## Synthesise what the area estimate is fitted to, where the Verilog has changed: half an hour
	cargo build --release
	scripts/area.py
	KOCH_BLESS=1 cargo test --release --package area

bless: setup ## Write the test snapshots anew
	KOCH_BLESS=1 cargo test --workspace --release

formal: setup ## Proves the formal properties, and that each notices its sabotages: docs/verification.md's part
	rm -rf out/formal && mkdir -p out/formal
	$(KOCH) generate --config testbench/formal/least.toml -o out/formal/rtl
	testbench/formal/run.py out/formal/rtl > out/formal/table.md
	scripts/page.py formal < out/formal/table.md

client: setup
	for config in $(CLIENT); do \
	  cargo run --release --quiet --package testbench --example client -- $$config out/client/$$(basename $$config .toml) 1 \
	    || exit 1; \
	done

cocotb: client ## A client of cocotbext-axi drives the RTL in Icarus and Verilator: docs/verification.md's part
	.tools/venv/bin/python testbench/cocotb/run.py cocotb $(CLIENTS) --seeds 3 > out/cocotb.md
	scripts/page.py cocotb < out/cocotb.md

unknown: client ## Runs from unknown and from random values: docs/verification.md's part
	.tools/venv/bin/python testbench/cocotb/run.py unknown $(CLIENTS) --seeds 5 > out/unknown.md
	scripts/page.py unknown < out/unknown.md

coverage: setup ## Lines, branches and toggles of the RTL that the client's runs reach: docs/verification.md's part
	rm -rf out/coverage && mkdir -p out
	cargo run --release --quiet --package testbench --example client -- testbench/mutation/small.toml out/coverage 40
	.tools/venv/bin/python testbench/cocotb/run.py coverage out/coverage --seeds 3 > out/coverage.md
	scripts/page.py coverage < out/coverage.md

lint: setup ## Every tool on all named, corner and N random configs, docs/verification.md's part: N=200 SEED=1
	mkdir -p out
	cargo test --release --package hdl --test generated no_tool
	echo '| configs | with a warning | s |' > out/lint.md
	echo '| --- | ---: | ---: |' >> out/lint.md
	cargo run --release --quiet --package testbench --example lint -- $(N) $(SEED) >> out/lint.md
	scripts/page.py lint < out/lint.md

# For this target alone: as many as take half an hour.
mutants: N = 120
mutants: SEED = 3
mutants: setup ## Mutants of the RTL that programs and properties notice, docs/verification.md's part: N=120 SEED=3
	mkdir -p out
	testbench/mutation/run.py --count $(N) --seed $(SEED) > out/mutants.md
	scripts/page.py mutation < out/mutants.md

signoff: formal mutants postsynthesis cocotb unknown coverage ## What `make test` takes a slice of, whole: hours
	$(MAKE) faults N=10000
	$(MAKE) lint N=200

fuzz: setup ## Random layers and configs on every machine: N=2000 SEED=1
	$(KOCH) fuzz --count $(N) --seed $(SEED)

faults: setup ## Faults injected into runs of the Verilated RTL, docs/verification.md's table: N=10000 SEED=1
	mkdir -p out
	$(KOCH) faults --count $(N) --seed $(SEED) --per-config 1000 > out/faults.md
	scripts/page.py faults < out/faults.md

fuzz-import: setup ## Damaged ONNX files, with cargo-fuzz and a nightly compiler: SECONDS=600
	scripts/fuzz_import.sh $(SECONDS)

sizes: setup $(SIZED:%=out/zoo/%-int8.onnx) ## Buffer sizes of networks, proven on the Verilated RTL: half an hour
	cargo build --release
	scripts/sizes.py out/zoo out/sizes

networks: setup $(NETWORKS:%=out/zoo/%-int8.onnx) ## Whole networks on the Verilated RTL, README.md's table: half an hour
	cargo build --release
	scripts/networks.py out/zoo out/networks

book: setup $(BOOK:%=out/zoo/%-int8.onnx) ## Tables of docs/book
	scripts/book_bandwidth.py
	scripts/book_memory.py --public --budgets
