#!/usr/bin/env bash
# s5cmd: many requests beside each other.
. "$(dirname "$0")/story.sh"
s5cmd() { "$CESS_CLIENTS/s5cmd" --endpoint-url "$S3_ENDPOINT" "$@"; }
# Its listing is part of its log, and so is what it copies.
quiet() { s5cmd --log error "$@"; }
quiet mb "s3://$bucket"
folder source
quiet cp "source/" "s3://$bucket/folder/"
equal "the number of objects" "$(s5cmd ls "s3://$bucket/folder/*" | wc -l)" $((files + 2))
quiet cp "s3://$bucket/folder/*" back/
same source back
large_file large
quiet cp --part-size 8 large "s3://$bucket/large"
quiet cp --part-size 5 "s3://$bucket/large" large.back
same large large.back
rm "source/a/file 0"
quiet sync --delete source/ "s3://$bucket/folder/"
equal "what is left" "$(s5cmd ls "s3://$bucket/folder/*" | wc -l)" $((files + 1))
quiet rm "s3://$bucket/*"
quiet rb "s3://$bucket"
refused NoSuchBucket s5cmd ls "s3://$bucket"
