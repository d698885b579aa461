#!/usr/bin/env bash
# rclone: copies that it checks by itself, ranges, a folder mirrored and moved.
. "$(dirname "$0")/story.sh"
export RCLONE_CONFIG="$PWD/rclone.conf" RCLONE_CONFIG_CESS_TYPE=s3 RCLONE_CONFIG_CESS_PROVIDER=Other
export RCLONE_CONFIG_CESS_ENDPOINT="$S3_ENDPOINT" RCLONE_CONFIG_CESS_REGION=us-east-1 RCLONE_CONFIG_CESS_FORCE_PATH_STYLE=true
export RCLONE_CONFIG_CESS_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID" RCLONE_CONFIG_CESS_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY"
export RCLONE_S3_UPLOAD_CUTOFF=10M RCLONE_S3_CHUNK_SIZE=8M RCLONE_RETRIES=1 RCLONE_LOW_LEVEL_RETRIES=3
: >rclone.conf
remote="cess:$bucket"
rclone mkdir "$remote"
says "$bucket" rclone lsd cess:
folder source
rclone copy source "$remote/folder"
rclone check source "$remote/folder"
rclone check --download source "$remote/folder"
equal "the number of objects" "$(rclone lsf --recursive --files-only "$remote/folder" | wc -l)" $((files + 2))
rclone copy "$remote/folder" back
same source back
large_file large
rclone copyto large "$remote/large"
rclone cat --offset 8388600 --count 21 "$remote/large" | cmp - <(slice large 8388600 21) || fail "a range"
rclone copyto "$remote/large" large.back
same large large.back
equal "the time of the file" "$(rclone lsf --format t "$remote/large")" "$(date -d "@$(stat -c %Y large)" '+%Y-%m-%d %H:%M:%S')"
curl -fsS "$(rclone link --expire 1m "$remote/large")" | cmp - large || fail "the link"
rm "source/a/file 0" && echo changed >"source/b/file 1"
rclone sync source "$remote/folder"
rclone check source "$remote/folder"
rclone moveto "$remote/folder" "$remote/moved"
rclone check source "$remote/moved"
rclone purge "$remote"
refused "not found" rclone lsf "$remote"
