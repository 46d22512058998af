# The project's front door: `make run` shows it, `make test` checks it. Both install what is missing on Debian and Ubuntu; Rust is assumed.

export PATH := $(PATH):$(HOME)/.cargo/bin

PROGRAM := $(or $(CARGO_TARGET_DIR),target)/release/pgdeltastream

.DEFAULT_GOAL := help
.PHONY: help run test contract bench soak fuzz tools clean

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start a demo with a throwaway Postgres, and print the commands to try
	@sh scripts/tools.sh
	@cargo build --release --locked
	@exec $(PROGRAM) demo

test: tools ## check format, lints, tests, how many instructions a change takes, and documentation; TEST_DATABASE_URL names a Postgres to use instead of throwaway ones
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --no-fail-fast
	cargo bench --locked --bench performance -- instructions
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

contract: tools ## of the tests, only those that hold the published documents against the service; SEED=1 is what they try
	cargo test --locked --test contract -- --nocapture

bench: tools ## measure
	cargo bench --locked

soak: SECONDS ?= 3600
soak: tools ## break everything, again and again, for SECONDS=3600; a seed that fails is printed
	ORACLE_SECONDS=$(SECONDS) cargo test --locked --release --test oracle -- --nocapture

fuzz: SECONDS ?= 60
fuzz: tools ## feed each decoder anything at all, for SECONDS=60 each; takes a nightly compiler
	@cargo fuzz --version > /dev/null 2>&1 || cargo install --locked cargo-fuzz
	@rustup run nightly cargo --version > /dev/null 2>&1 || rustup toolchain install nightly --profile minimal
	@for target in format_1 format_2 acknowledgement; do \
		mkdir -p fuzz/target/corpus/$$target && \
		cargo +nightly fuzz run $$target fuzz/target/corpus/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(SECONDS) -max_len=4096 -dict=fuzz/wal2json.dict || exit 1; \
	done

tools: ## install what is missing: a linker, a Postgres server, wal2json, and what tests need besides: Python, Node, Chromium, valgrind
	@sh scripts/tools.sh tests

clean: ## remove what was built
	cargo clean
