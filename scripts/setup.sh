#!/usr/bin/env bash
# Installs what a build needs on a fresh Debian machine and nothing that is there already.
set -euo pipefail
. "$(dirname "$0")/packages.sh"

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need cc gcc
need c++ g++
need make make
need pkg-config pkg-config
need curl curl
# For the story of a full disk, and for one install of the clients at a time.
need unshare util-linux
need mount mount
need flock util-linux
# RocksDB's bindings are generated with libclang at build time. libclang-cpp, which other packages bring, is another library.
have_libclang() {
  compgen -G '/usr/lib/llvm-*/lib/libclang.so*' || compgen -G '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*'
}
have_libclang >/dev/null || missing+=(libclang-dev clang)

if [ ${#missing[@]} -gt 0 ]; then install_packages ca-certificates "${missing[@]}"; fi

if ! command -v cargo >/dev/null 2>&1; then
  if [ -x "$HOME/.cargo/bin/cargo" ]; then
    echo "cargo is in ~/.cargo/bin but not on PATH: run '. ~/.cargo/env' first" >&2
  else
    echo "Rust 1.95 or newer is needed: install it with rustup (https://rustup.rs), then run this again" >&2
  fi
  exit 1
fi
