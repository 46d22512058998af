# The project's front door: `make run` shows it, `make test` checks it. Both install what is missing on Debian and Ubuntu; Rust is assumed.

export PATH := $(PATH):$(HOME)/.cargo/bin

PROGRAM := $(or $(CARGO_TARGET_DIR),target)/release/pgdeltastream

.DEFAULT_GOAL := help
.PHONY: help run test bench tools clean

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: tools ## start a demo with a throwaway Postgres, and print the commands to try
	@cargo build --release --locked
	@exec $(PROGRAM) demo

test: tools ## check format, lints, tests and documentation; TEST_DATABASE_URL names a Postgres to use instead of throwaway ones
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --no-fail-fast
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

bench: tools ## measure
	cargo bench --locked

tools: ## install what is missing: a linker, a Postgres server, wal2json
	@sh scripts/tools.sh

clean: ## remove what was built
	cargo clean
