#!/usr/bin/env bash
# Installs the clients that the tests use as users do, outside of the checkout: foundry's cast. Nothing when it is there already.
set -euo pipefail
. "$(dirname "$0")/packages.sh"

version=1.7.1
dir="${CESS_CLIENTS:-$HOME/.cache/cess-clients}"
installed="$dir/cast-$version"

# One install at a time, and never half of one under its final name.
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9

if [ ! -x "$installed/cast" ]; then
  if ! command -v npm >/dev/null 2>&1; then install_packages ca-certificates nodejs npm; fi
  part="$dir/part"
  rm -rf "$part" "$installed"
  mkdir -p "$part"
  # The package with this machine's binary. By name: as an optional part of `cast` an npm of Debian 12 leaves it out.
  case "$(uname -sm)" in
    "Linux x86_64") package=@foundry-rs/cast-linux-amd64 ;;
    "Linux aarch64") package=@foundry-rs/cast-linux-arm64 ;;
    *)
      echo "cast has no package for $(uname -sm)" >&2
      exit 1
      ;;
  esac
  npm install --prefix "$part" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error "$package@$version" >&2
  binary=$(find "$part/node_modules/@foundry-rs" -path '*/cast-*/bin/cast' -type f | head -n 1)
  if [ -z "$binary" ]; then
    echo "cast $version has no binary for $(uname -sm)" >&2
    exit 1
  fi
  chmod +x "$binary"
  ln -s "${binary#"$part"/}" "$part/cast"
  mv "$part" "$installed"
fi
ln -sfn "$installed/cast" "$dir/cast"
