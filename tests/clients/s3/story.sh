# What the stories of S3 clients beside have in common. Sourced.
#
# A story is told with S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and CESS_CLIENTS set, in an empty directory of its own, and ends
# with 0 if everything was as it should be. S3_FILES is the number of files in a folder, S3_LARGE the MiB of a large file.
set -euo pipefail
unset AWS_CA_BUNDLE AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3
export AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true AWS_PAGER="" LC_ALL=C.UTF-8 HOME="$PWD"
export AWS_CONFIG_FILE="$PWD/no-config" AWS_SHARED_CREDENTIALS_FILE="$PWD/no-credentials"
files="${S3_FILES:-100}"
large="${S3_LARGE:-64}"
host="${S3_ENDPOINT#http://}"
# Nobody else's: stories share a server.
bucket="$(basename "$0" .sh)-$(od -An -N5 -tx1 /dev/urandom | tr -d ' \n')"

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# same A B: two files or folders have the same content.
same() { diff -r "$1" "$2" >&2 || fail "$1 is not $2"; }

# equal WHAT FOUND EXPECTED
equal() { [ "$2" = "$3" ] || fail "$1 is \`$2\`, expected \`$3\`"; }

# says PATTERN COMMAND…: the command prints a line like this.
says() {
  local pattern=$1 said
  shift
  said=$("$@")
  grep -q -- "$pattern" <<<"$said" || fail "\`$*\` does not say \`$pattern\`: $said"
}

# refused WORD COMMAND…: the command fails and says the word.
refused() {
  local word=$1 said
  shift
  if said=$("$@" 2>&1); then fail "was not refused: $*"; fi
  case "$said" in *"$word"*) ;; *) fail "\`$*\` was refused without \`$word\`: $said" ;; esac
}

# status EXPECTED CURL-ARGUMENT…: an answer's HTTP status.
status() {
  local expected=$1
  shift
  equal "the status of $*" "$(curl -s -o /dev/null -w '%{http_code}' "$@")" "$expected"
}

# folder DIR: many small files of 0 to 3 KiB, in folders, some with names that are hard to carry.
folder() {
  local dir=$1 n
  mkdir -p "$dir"/{a,b/c,"d e"}
  head -c 3072 /dev/urandom >seed
  for ((n = 0; n < files; n++)); do
    case $((n % 5)) in 0) sub=a ;; 1) sub=b ;; 2) sub=b/c ;; 3) sub="d e" ;; *) sub=. ;; esac
    { echo "$n" && head -c $((n * 37 % 3072)) seed; } >"$dir/$sub/file $n"
  done
  : >"$dir/empty"
  echo odd >"$dir/a/ü+&=100%~#(1).txt"
}

# slice FILE OFFSET LENGTH: some bytes of a file.
slice() { dd if="$1" iflag=skip_bytes,count_bytes skip="$2" count="$3" bs=1M status=none; }

large_file() { head -c $((large << 20)) /dev/urandom >"$1"; }
