#!/usr/bin/env bash
# The AWS command line: folders, large files, ranges, links, versions, tags, policy, CORS, conditions.
. "$(dirname "$0")/story.sh"
aws() { "$CESS_CLIENTS/aws" --endpoint-url "$S3_ENDPOINT" "$@"; }
api() { aws s3api "$@"; }
# field QUERY COMMAND…: one value of an answer.
field() {
  local query=$1
  shift
  api "$@" --query "$query" --output text
}
export AWS_MAX_ATTEMPTS=2
mkdir .aws
# Ranges of a large file are asked for beside each other, parts of one sent so.
printf '[default]\ns3 =\n  multipart_threshold = 8MB\n  multipart_chunksize = 8MB\n  addressing_style = path\n' >no-config

aws s3 mb "s3://$bucket"
says "$bucket" aws s3 ls

folder source
aws s3 sync --only-show-errors source "s3://$bucket/folder"
equal "a second sync" "$(aws s3 sync source "s3://$bucket/folder")" ""
equal "the number of objects" "$(aws s3 ls --recursive "s3://$bucket/folder/" | wc -l)" $((files + 2))
equal "folders of the first level" "$(aws s3 ls "s3://$bucket/folder/" | grep -c PRE)" 3
aws s3 sync --only-show-errors "s3://$bucket/folder" back
same source back
find source -name 'file 1*' -delete
aws s3 sync --only-show-errors --delete source "s3://$bucket/folder"
equal "what is left" "$(aws s3 ls --recursive "s3://$bucket/folder/" | wc -l)" "$(find source -type f | wc -l)"

large_file large
aws s3 cp --only-show-errors large "s3://$bucket/large"
aws s3 cp --only-show-errors "s3://$bucket/large" large.back
same large large.back
case "$(field ETag head-object --bucket "$bucket" --key large)" in *"-$((large / 8))\"") ;; *) fail "the large file has not $((large / 8)) parts" ;; esac
range() {
  api get-object --bucket "$bucket" --key large --range "bytes=$1" part >/dev/null
  slice large "$2" "$3" | cmp - part || fail "range $1"
}
range 0-0 0 1
range 8388600-8388620 8388600 21
range -5 $(((large << 20) - 5)) 5
refused InvalidRange api get-object --bucket "$bucket" --key large --range "bytes=$((large << 20))-" part
api get-object --bucket "$bucket" --key large --part-number 2 part >/dev/null
slice large 8388608 8388608 | cmp - part || fail "part 2"
aws s3 cp --only-show-errors "s3://$bucket/large" "s3://$bucket/copy of large"
aws s3 cp --only-show-errors "s3://$bucket/copy of large" large.back
same large large.back
rm large.back part

link=$(aws s3 presign "s3://$bucket/folder/a/ü+&=100%~#(1).txt" --expires-in 60)
curl -fsS "$link" | cmp - "source/a/ü+&=100%~#(1).txt" || fail "the link"
status 403 "${link}0"
status 403 "$S3_ENDPOINT/$bucket/large"

api put-bucket-versioning --bucket "$bucket" --versioning-configuration Status=Enabled
equal versioning "$(field Status get-bucket-versioning --bucket "$bucket")" Enabled
echo one >one && echo two >two
first=$(field VersionId put-object --bucket "$bucket" --key v --body one)
second=$(field VersionId put-object --bucket "$bucket" --key v --body two)
equal "the number of versions" "$(field 'length(Versions)' list-object-versions --bucket "$bucket" --prefix v)" 2
api get-object --bucket "$bucket" --key v --version-id "$first" part >/dev/null
same part one
marker=$(field VersionId delete-object --bucket "$bucket" --key v)
refused NoSuchKey api get-object --bucket "$bucket" --key v part
equal "the latest marker" "$(field 'DeleteMarkers[0].VersionId' list-object-versions --bucket "$bucket" --prefix v)" "$marker"
api delete-object --bucket "$bucket" --key v --version-id "$marker" >/dev/null
equal "the version behind the marker" "$(field VersionId head-object --bucket "$bucket" --key v)" "$second"

api put-object-tagging --bucket "$bucket" --key v --tagging 'TagSet=[{Key=colour,Value=dark blue},{Key=n,Value=1}]' >/dev/null
equal tags "$(field 'length(TagSet)' get-object-tagging --bucket "$bucket" --key v)" 2
equal "a tag" "$(field "TagSet[?Key=='colour'].Value" get-object-tagging --bucket "$bucket" --key v)" "dark blue"
api delete-object-tagging --bucket "$bucket" --key v >/dev/null
api put-bucket-tagging --bucket "$bucket" --tagging 'TagSet=[{Key=team,Value=a}]'
equal "the bucket's tag" "$(field 'TagSet[0].Value' get-bucket-tagging --bucket "$bucket")" a

echo hello >public.txt
api put-object --bucket "$bucket" --key public/x --body public.txt --content-type text/plain --metadata a=b >/dev/null
equal "the content type" "$(field ContentType head-object --bucket "$bucket" --key public/x)" text/plain
equal "the metadata" "$(field Metadata.a head-object --bucket "$bucket" --key public/x)" b
cat >policy.json <<JSON
{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::$bucket/public/*"}]}
JSON
status 403 "$S3_ENDPOINT/$bucket/public/x"
# Accounts here refuse public policies until they are told otherwise, as Amazon's do.
api delete-public-access-block --bucket "$bucket" || true
api put-bucket-policy --bucket "$bucket" --policy file://policy.json
curl -fsS "$S3_ENDPOINT/$bucket/public/x" | cmp - public.txt || fail "the public object"
status 403 "$S3_ENDPOINT/$bucket/large"
status 403 -X PUT --data x "$S3_ENDPOINT/$bucket/public/y"
says s3:GetObject field Policy get-bucket-policy --bucket "$bucket"
api delete-bucket-policy --bucket "$bucket"
status 403 "$S3_ENDPOINT/$bucket/public/x"
refused NoSuchBucketPolicy api get-bucket-policy --bucket "$bucket"

api put-bucket-cors --bucket "$bucket" --cors-configuration \
  '{"CORSRules": [{"AllowedOrigins": ["http://app.test"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["*"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}]}'
preflight() {
  curl -s -D headers -o /dev/null -w '%{http_code}' -X OPTIONS -H "Origin: $1" -H "Access-Control-Request-Method: $2" \
    -H 'Access-Control-Request-Headers: content-type' "$S3_ENDPOINT/$bucket/v"
}
equal "the preflight" "$(preflight http://app.test PUT)" 200
grep -qi '^access-control-allow-origin: http://app.test' headers || fail "no origin is allowed: $(cat headers)"
grep -qi '^access-control-allow-methods:.*PUT' headers || fail "no method is allowed: $(cat headers)"
equal "another's preflight" "$(preflight http://evil.test PUT)" 403
equal "another method's preflight" "$(preflight http://app.test DELETE)" 403
link=$(aws s3 presign "s3://$bucket/v")
curl -fsS -D headers -o /dev/null -H 'Origin: http://app.test' "$link"
grep -qi '^access-control-expose-headers:.*etag' headers || fail "no header is exposed: $(cat headers)"

api put-object --bucket "$bucket" --key once --body one --if-none-match '*' >/dev/null
refused PreconditionFailed api put-object --bucket "$bucket" --key once --body two --if-none-match '*'
tag=$(field ETag head-object --bucket "$bucket" --key once)
refused 304 api get-object --bucket "$bucket" --key once --if-none-match "$tag" part
refused PreconditionFailed api get-object --bucket "$bucket" --key once --if-match '"0"' part
printf abc >abc
equal "a checksum" "$(field ChecksumSHA256 put-object --bucket "$bucket" --key sum --body abc --checksum-algorithm SHA256)" \
  "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="

refused BucketNotEmpty api delete-bucket --bucket "$bucket"
AWS_SECRET_ACCESS_KEY=wrong refused SignatureDoesNotMatch api list-objects-v2 --bucket "$bucket"
AWS_ACCESS_KEY_ID=CESSAAAAAAAAAAAAAAAA refused InvalidAccessKeyId api list-objects-v2 --bucket "$bucket"
refused NoSuchBucket api list-objects-v2 --bucket "$bucket-absent"
api list-object-versions --bucket "$bucket" --output json \
  --query '{Objects: [Versions, DeleteMarkers][] | [?Key] | [].{Key: Key, VersionId: VersionId}, Quiet: `true`}' >all.json
"$CESS_CLIENTS/python" - "$bucket" <<'PY'
import json, os, sys
import boto3
s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"])
named = json.load(open("all.json"))["Objects"]
for at in range(0, len(named), 1000):
    answer = s3.delete_objects(Bucket=sys.argv[1], Delete={"Objects": named[at : at + 1000], "Quiet": True})
    assert not answer.get("Errors"), answer["Errors"]
PY
aws s3 rb "s3://$bucket"
refused NoSuchBucket api list-objects-v2 --bucket "$bucket"
