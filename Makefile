# The two commands a user needs are `make localnet` and `make test`; everything else is for people who change the code.
SHELL := /bin/bash
export CARGO_TARGET_DIR ?= $(HOME)/.cache/cess-target
CARGO ?= cargo
BIN := $(CARGO_TARGET_DIR)/release/cess
ARGS ?=
# Contracts that are deployed in a localnet's genesis if `make clients` has fetched them (docs/adr/0015-predeployed-contracts.md).
DEPLOY := $(addprefix --deploy ,$(wildcard $(HOME)/.cache/cess-clients/predeploys/*.hex))

.PHONY: localnet build test setup clients fmt lint bench tidy

## localnet: install what is missing, build, run validators, miners and a gateway in one process
localnet: build
	$(BIN) localnet $(DEPLOY) $(ARGS)

## build: the release binary
build: setup
	$(CARGO) build --release --locked --bin cess

## test: everything CI checks
test: setup clients
	$(CARGO) fmt --check
	$(CARGO) test --locked --test tidy
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --lib --tests
	$(CARGO) test --locked --manifest-path tests/roots/Cargo.toml

## tidy: the code hygiene rules alone, in seconds
tidy:
	$(CARGO) test --locked --test tidy

fmt:
	$(CARGO) fmt

lint: setup
	$(CARGO) clippy --locked --all-targets -- -D warnings

## bench: the headline figures
bench: build
	$(BIN) bench erasure
	$(BIN) bench slicer
	$(BIN) bench idle
	$(BIN) bench dead-proposer
	$(BIN) bench blocks --size 1MB
	$(BIN) bench blocks --size 4MB
	$(BIN) bench finality $(ARGS)
	$(BIN) bench file $(ARGS)

## setup: system packages and a toolchain, only if they are missing
setup:
	@bash scripts/setup.sh

## clients: the clients the tests use as users do (foundry, solc, viem, ethers; aws, boto3, s3cmd, s5cmd, rclone, restic, minio), only if they are missing
clients: setup
	@bash scripts/clients.sh
