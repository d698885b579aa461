"""boto3: parts, ranges, pages, links and forms, copies, checksums, customer's keys, conditions, errors.

Told with S3_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY set, in an empty directory; ends with 0 if all is as it should be.
"""

import base64
import hashlib
import io
import os
import secrets
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["S3_ENDPOINT"]
LARGE = int(os.environ.get("S3_LARGE", "64")) << 20
PART = 8 << 20
FILES = int(os.environ.get("S3_FILES", "100"))
bucket = "boto-" + secrets.token_hex(5)


def client(**more):
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 2}, max_pool_connections=16)
    return boto3.client("s3", endpoint_url=ENDPOINT, region_name="us-east-1", config=config, **more)


s3 = client()


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found in code.split("|"), f"{call.__name__} was refused with {found}, expected {code}"
        return
    raise AssertionError(f"{call.__name__} was not refused: {arguments}")


def body(**arguments):
    return s3.get_object(Bucket=bucket, **arguments)["Body"].read()


def fetch(request):
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def parts_and_ranges():
    data = os.urandom(LARGE)
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(data), bucket, "large", Config=config)
    back = io.BytesIO()
    s3.download_fileobj(bucket, "large", back, Config=config)
    assert back.getvalue() == data, "the large object came back otherwise"
    head = s3.head_object(Bucket=bucket, Key="large")
    assert head["ContentLength"] == LARGE and head["ETag"].endswith(f'-{LARGE // PART}"'), head
    for text, expected in [
        ("bytes=0-0", data[:1]),
        (f"bytes={PART - 3}-{PART + 3}", data[PART - 3 : PART + 4]),
        ("bytes=-7", data[-7:]),
        (f"bytes={LARGE - 5}-", data[-5:]),
        (f"bytes={LARGE - 5}-{LARGE + 5}", data[-5:]),
    ]:
        assert body(Key="large", Range=text) == expected, text
    refused("InvalidRange", s3.get_object, Bucket=bucket, Key="large", Range=f"bytes={LARGE}-")

    # Parts by hand: one sent, one copied from a range, out of order, one replaced.
    upload = s3.create_multipart_upload(Bucket=bucket, Key="by hand", Metadata={"a": "b"})["UploadId"]
    at = {"Bucket": bucket, "Key": "by hand", "UploadId": upload}
    s3.upload_part(**at, PartNumber=2, Body=b"replaced" * 1000)
    last = s3.upload_part(**at, PartNumber=2, Body=b"the end")["ETag"]
    source = {"Bucket": bucket, "Key": "large"}
    copied = s3.upload_part_copy(**at, PartNumber=1, CopySource=source, CopySourceRange=f"bytes=0-{PART - 1}")
    listed = s3.list_parts(**at)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, PART), (2, 7)], listed
    assert any(entry["UploadId"] == upload for entry in s3.list_multipart_uploads(Bucket=bucket)["Uploads"])
    named = [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}, {"PartNumber": 2, "ETag": last}]
    refused("InvalidPartOrder", s3.complete_multipart_upload, **at, MultipartUpload={"Parts": named[::-1]})
    wrong = [named[0], {"PartNumber": 2, "ETag": '"00000000000000000000000000000000"'}]
    refused("InvalidPart", s3.complete_multipart_upload, **at, MultipartUpload={"Parts": wrong})
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": named})
    assert body(Key="by hand") == data[:PART] + b"the end"
    assert s3.head_object(Bucket=bucket, Key="by hand")["Metadata"] == {"a": "b"}
    small = s3.create_multipart_upload(Bucket=bucket, Key="small")["UploadId"]
    at = {"Bucket": bucket, "Key": "small", "UploadId": small}
    tags = [s3.upload_part(**at, PartNumber=n, Body=b"x")["ETag"] for n in (1, 2)]
    named = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]
    refused("EntityTooSmall", s3.complete_multipart_upload, **at, MultipartUpload={"Parts": named})
    s3.abort_multipart_upload(**at)
    refused("NoSuchUpload", s3.list_parts, **at)


def pages():
    keys = sorted(f"p/{n % 7}/{n:04}" for n in range(FILES))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=key.encode()), keys))
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="p/", PaginationConfig={"PageSize": 37}))
    assert len(pages) == -(-FILES // 37), len(pages)
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == keys
    old = s3.get_paginator("list_objects").paginate(Bucket=bucket, Prefix="p/", PaginationConfig={"PageSize": 101})
    assert [entry["Key"] for page in old for entry in page["Contents"]] == keys
    levels = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix="p/", Delimiter="/", PaginationConfig={"PageSize": 3}
    )
    found = [entry["Prefix"] for page in levels for entry in page.get("CommonPrefixes", [])]
    assert found == [f"p/{n}/" for n in range(7)], found
    after = s3.list_objects_v2(Bucket=bucket, Prefix="p/", StartAfter=keys[9], MaxKeys=2)
    assert [entry["Key"] for entry in after["Contents"]] == keys[10:12] and after["IsTruncated"]
    assert body(Key=keys[-1]) == keys[-1].encode(), "an object is read right after it was listed"
    for at in range(0, FILES, 1000):
        named = [{"Key": key} for key in keys[at : at + 1000]]
        assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": named})["Deleted"]) == len(named)
    assert s3.list_objects_v2(Bucket=bucket, Prefix="p/")["KeyCount"] == 0


def links_and_forms():
    link = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "by link"}, ExpiresIn=60)
    status, words = fetch(urllib.request.Request(link, data=b"through a link", method="PUT"))
    assert status == 200, words
    link = s3.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "by link", "ResponseContentType": "text/plain"}, ExpiresIn=60
    )
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"through a link" and answer.headers["content-type"] == "text/plain"
    assert fetch(link.replace("by%20link", "large"))[0] == 403, "a link is good for one object"

    post = s3.generate_presigned_post(bucket, "forms/${filename}", Conditions=[["content-length-range", 1, 20]])

    def send(content):
        edge = secrets.token_hex(8)
        fields = "".join(
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in post["fields"].items()
        )
        start = fields + f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        data = start.encode() + content + f"\r\n--{edge}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        return fetch(urllib.request.Request(post["url"], data=data, headers=kind, method="POST"))

    status, words = send(b"through a form")
    assert status == 204, words
    assert body(Key="forms/a.txt") == b"through a form"
    status, words = send(b"through a form, but too long")
    assert status == 400 and b"EntityTooLarge" in words, (status, words)


def copies():
    s3.put_object(Bucket=bucket, Key="source +1", Body=b"content", Metadata={"k": "v"}, ContentType="text/x", Tagging="a=1&b=2")
    source = {"Bucket": bucket, "Key": "source +1"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    head = s3.head_object(Bucket=bucket, Key="copy")
    assert (head["Metadata"], head["ContentType"]) == ({"k": "v"}, "text/x"), head
    assert len(s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"]) == 2
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, MetadataDirective="REPLACE", Metadata={"x": "y"})
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"x": "y"}
    assert body(Key="copy") == b"content"
    refused("InvalidRequest", s3.copy_object, Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "copy"})
    refused("NoSuchKey", s3.copy_object, Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "absent"})


def checksums():
    for name, made in [
        ("SHA256", hashlib.sha256(b"content").digest()),
        ("SHA1", hashlib.sha1(b"content").digest()),
        ("CRC32", None),
        ("CRC32C", None),
        ("CRC64NVME", None),
    ]:
        try:
            answer = s3.put_object(Bucket=bucket, Key="sum", Body=io.BytesIO(b"content"), ChecksumAlgorithm=name)
        except Exception as error:
            # Only where the machine has the library for it.
            if "crt" not in str(error).lower():
                raise
            continue
        field = "Checksum" + name
        assert made is None or answer[field] == base64.b64encode(made).decode(), answer
        head = s3.head_object(Bucket=bucket, Key="sum", ChecksumMode="ENABLED")
        assert head[field] == answer[field], head
    attributes = s3.get_object_attributes(Bucket=bucket, Key="large", ObjectAttributes=["ETag", "ObjectSize", "ObjectParts"])
    assert attributes["ObjectSize"] == LARGE and attributes["ObjectParts"]["TotalPartsCount"] == LARGE // PART, attributes
    refused("BadDigest", s3.put_object, Bucket=bucket, Key="bad", Body=b"content", ContentMD5=base64.b64encode(bytes(16)).decode())
    refused("InvalidDigest", s3.put_object, Bucket=bucket, Key="bad", Body=b"content", ContentMD5="nonsense")
    refused("NoSuchKey", s3.get_object, Bucket=bucket, Key="bad")


def customers_keys():
    key = secrets.token_bytes(32)
    mine = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
    data = os.urandom(300_000)
    s3.put_object(Bucket=bucket, Key="sealed", Body=data, **mine)
    assert body(Key="sealed", **mine) == data
    assert body(Key="sealed", Range="bytes=70000-80000", **mine) == data[70000:80001]
    refused("InvalidRequest", s3.get_object, Bucket=bucket, Key="sealed")
    other = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": secrets.token_bytes(32)}
    # Servers differ in how they say it.
    refused("AccessDenied|InvalidRequest", s3.get_object, Bucket=bucket, Key="sealed", **other)


def conditions():
    s3.put_object(Bucket=bucket, Key="c", Body=b"1")
    tag = s3.head_object(Bucket=bucket, Key="c")["ETag"]
    s3.put_object(Bucket=bucket, Key="c", Body=b"2", IfMatch=tag)
    refused("PreconditionFailed", s3.put_object, Bucket=bucket, Key="c", Body=b"3", IfMatch=tag)
    refused("PreconditionFailed", s3.put_object, Bucket=bucket, Key="c", Body=b"3", IfNoneMatch="*")
    assert body(Key="c") == b"2"

    # Of many who want to be first, one is.
    def first(n):
        try:
            s3.put_object(Bucket=bucket, Key="first", Body=str(n).encode(), IfNoneMatch="*")
            return n
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"), error
            return None

    with ThreadPoolExecutor(8) as pool:
        winners = [n for n in pool.map(first, range(16)) if n is not None]
    assert len(winners) == 1 and body(Key="first") == str(winners[0]).encode(), winners


def errors():
    refused("NoSuchKey", s3.get_object, Bucket=bucket, Key="absent")
    refused("NoSuchBucket", s3.get_object, Bucket=bucket + "-absent", Key="x")
    refused("BucketNotEmpty", s3.delete_bucket, Bucket=bucket)
    refused("InvalidBucketName", s3.create_bucket, Bucket="a_b_c")
    refused("KeyTooLongError", s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"")
    stranger = client(aws_secret_access_key="wrong", aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"])
    refused("SignatureDoesNotMatch", stranger.list_buckets)
    unknown = client(aws_secret_access_key="wrong", aws_access_key_id="CESSAAAAAAAAAAAAAAAA")
    refused("InvalidAccessKeyId", unknown.list_buckets)
    assert s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200


def main():
    s3.create_bucket(Bucket=bucket)
    assert bucket in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    for part in (parts_and_ranges, pages, links_and_forms, copies, checksums, customers_keys, conditions, errors):
        if part.__name__ in os.environ.get("S3_WITHOUT", "").split(","):
            continue
        part()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page["Contents"]:
            s3.delete_object(Bucket=bucket, Key=entry["Key"])
    s3.delete_bucket(Bucket=bucket)
    refused("NoSuchBucket", s3.list_objects_v2, Bucket=bucket)


main()
