#!/usr/bin/env bash
# restic: a repository is made, filled twice, checked byte by byte, restored, thinned out.
. "$(dirname "$0")/story.sh"
export RESTIC_REPOSITORY="s3:$S3_ENDPOINT/$bucket/backups" RESTIC_PASSWORD=secret RESTIC_CACHE_DIR="$PWD/cache"
restic() { command restic --quiet -o s3.bucket-lookup=path "$@"; }
restic init
folder source
large_file source/large
restic backup source
echo changed >"source/a/file 0" && rm "source/b/file 1"
restic backup source
equal "the number of snapshots" "$(restic snapshots --json | grep -o '"short_id"' | wc -l)" 2
restic check --read-data
restic restore latest --target back
same source back/source
restic forget --keep-last 1 --prune
equal "the number of snapshots" "$(restic snapshots --json | grep -o '"short_id"' | wc -l)" 1
restic check --read-data
rm -r back && restic restore latest --target back
same source back/source
RESTIC_PASSWORD=wrong refused "wrong password" restic snapshots
