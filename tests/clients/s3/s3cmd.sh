#!/usr/bin/env bash
# s3cmd as it comes, which signs for a region `US`: folders, large files, links, removal.
. "$(dirname "$0")/story.sh"
: >s3cfg
s3cmd() {
  "$CESS_CLIENTS/s3cmd" --config "$PWD/s3cfg" --no-ssl --host "$host" --host-bucket "$host" --no-progress \
    --access_key "$AWS_ACCESS_KEY_ID" --secret_key "$AWS_SECRET_ACCESS_KEY" "$@"
}
s3cmd mb "s3://$bucket"
folder source
s3cmd --quiet sync source/ "s3://$bucket/folder/"
equal "the number of objects" "$(s3cmd ls --recursive "s3://$bucket/folder/" | wc -l)" $((files + 2))
mkdir back && s3cmd --quiet sync "s3://$bucket/folder/" back/
same source back
equal "a second sync" "$(s3cmd sync source/ "s3://$bucket/folder/" | grep -c upload || true)" 0
large_file large
s3cmd --quiet --multipart-chunk-size-mb=15 put large "s3://$bucket/large"
s3cmd --quiet get "s3://$bucket/large" large.back
same large large.back
says "File size: *$((large << 20))" s3cmd info "s3://$bucket/large"
s3cmd --quiet cp "s3://$bucket/large" "s3://$bucket/copy"
curl -fsS "$(s3cmd signurl "s3://$bucket/copy" +60)" | cmp - large || fail "the link"
s3cmd --quiet mv "s3://$bucket/copy" "s3://$bucket/moved"
refused 404 s3cmd info "s3://$bucket/copy"
s3cmd --quiet del --recursive --force "s3://$bucket"
equal "what is left" "$(s3cmd ls --recursive "s3://$bucket" | wc -l)" 0
s3cmd rb "s3://$bucket"
refused NoSuchBucket s3cmd ls "s3://$bucket"
