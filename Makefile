# Two commands: `make run` and `make test`. Both do all set-up themselves.
#
#   make run             a pool, a miner and a sample job of each kind; serves until Ctrl-C
#   make run ONCE=1      the same, and stops once the sample jobs are finished and paid
#   make run DEVICE=cpu  on another device; `target/release/lode-miner devices` lists them
#   make test            every test, what takes long with small counts
#   make ptx             the CUDA kernels as the driver takes them, from their sources, with the pinned NVRTC
#   make soak            what takes long with full counts
#   make bench           hash rates of this machine's devices and of the CPU's code paths
#   make sass            what a nonce and a path cost in the machine code of NVIDIA's cards, from kernels/ptx
#   make fmt lint doc    formatting, clippy with warnings denied, documentation

ONCE ?=
DEVICE ?=
CARGO ?= cargo

.PHONY: run test ptx soak bench sass fmt lint doc setup build

run: build
	target/release/lode-demo $(if $(ONCE),--once) $(if $(DEVICE),--device $(DEVICE))

test: build
	@scripts/setup.sh --tests
	@scripts/ptx.sh --fetch || test $$? = 3 # without it the check of the PTX is skipped, and counted below
	scripts/backends.sh
	$(CARGO) test --release --workspace

ptx:
	@scripts/setup.sh --tests
	scripts/ptx.sh

soak: build
	LODE_KILLS=50 LODE_RANGE_KILLS=30 $(CARGO) test --release -p lode-tests --test e2e crash -- --nocapture
	LODE_DETECTION_TRIALS=100000 LODE_MUTATIONS=200 $(CARGO) test --release -p lode-tests --test e2e -- --nocapture detection mutated
	LODE_BLOB_KILLS=100 $(CARGO) test --release -p lode-tests --test e2e blobs -- --nocapture

bench: build
	target/release/lode-miner bench --kind hash
	$(CARGO) bench -q -p lode-kinds

sass:
	scripts/sass.sh

fmt:
	$(CARGO) fmt --all

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps

build: setup
	$(CARGO) build --release --workspace

setup:
	@scripts/setup.sh
