// minio's client for JavaScript: streams, parts, ranges, listings, links and forms, policies, tags, versions.
//
// Told with the S3 endpoint as the argument, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY set, in an empty directory where
// node_modules has the client. Ends with 0 if all is as it should be.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Readable } from "node:stream";

const Minio = createRequire(join(process.cwd(), "here"))("minio");
const url = new URL(process.env.S3_ENDPOINT);
const accessKey = process.env.AWS_ACCESS_KEY_ID;
const secretKey = process.env.AWS_SECRET_ACCESS_KEY;
const at = { endPoint: url.hostname, port: Number(url.port || 80), useSSL: false, region: "us-east-1", pathStyle: true };
const s3 = new Minio.Client({ ...at, accessKey, secretKey, partSize: 8 << 20 });
const large = Number(process.env.S3_LARGE ?? 64) << 20;
const files = Number(process.env.S3_FILES ?? 100);
const bucket = `minio-${randomBytes(5).toString("hex")}`;

const all = async (stream) => {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
};
const bytes = async (stream) => Buffer.concat(await all(stream));
const object = async (key, options) => bytes(await s3.getObject(bucket, key, options));
const refused = (code, promise) => assert.rejects(promise, (error) => assert.equal(error.code, code) ?? true);

await s3.makeBucket(bucket, "us-east-1");
assert.ok(await s3.bucketExists(bucket));
assert.ok((await s3.listBuckets()).some((entry) => entry.name === bucket));

const data = randomBytes(large);
await writeFile("large", data);
await s3.fPutObject(bucket, "large", "large", { "Content-Type": "video/x", "X-Amz-Meta-Colour": "blue" });
const stat = await s3.statObject(bucket, "large");
assert.equal(stat.size, large);
assert.equal(stat.metaData["content-type"], "video/x");
assert.equal(stat.metaData.colour, "blue");
await s3.fGetObject(bucket, "large", "back");
assert.ok(data.equals(await readFile("back")));
const part = await bytes(await s3.getPartialObject(bucket, "large", (8 << 20) - 3, 7));
assert.ok(part.equals(data.subarray((8 << 20) - 3, (8 << 20) + 4)));
// A stream of unknown length.
await s3.putObject(bucket, "streamed", Readable.from([data.subarray(0, 9 << 20), data.subarray(9 << 20, 17 << 20)]));
assert.ok((await object("streamed")).equals(data.subarray(0, 17 << 20)));

const names = Array.from({ length: files }, (_, n) => `dir ${n % 3}/${String(n).padStart(5, "0")} ü+&`);
for (let n = 0; n < files; n += 16) {
  await Promise.all(names.slice(n, n + 16).map((name) => s3.putObject(bucket, name, Buffer.from(name))));
}
const listed = await all(s3.listObjectsV2(bucket, "dir ", true));
assert.deepEqual(listed.map((entry) => entry.name), [...names].sort());
const levels = await all(s3.listObjectsV2(bucket, "dir ", false));
assert.deepEqual(levels.map((entry) => entry.prefix), ["dir 0/", "dir 1/", "dir 2/"]);
assert.equal((await object(names.at(-1))).toString(), names.at(-1));
for (let n = 0; n < files; n += 1000) await s3.removeObjects(bucket, names.slice(n, n + 1000));
assert.equal((await all(s3.listObjectsV2(bucket, "dir ", true))).length, 0);

const put = await s3.presignedPutObject(bucket, "by link", 60);
assert.equal((await fetch(put, { method: "PUT", body: "through a link" })).status, 200);
const get = await s3.presignedGetObject(bucket, "by link", 60, { "response-content-disposition": "attachment" });
const answer = await fetch(get);
assert.equal(await answer.text(), "through a link");
assert.equal(answer.headers.get("content-disposition"), "attachment");
const policy = s3.newPostPolicy();
policy.setBucket(bucket);
policy.setKey("by form");
policy.setExpires(new Date(Date.now() + 60_000));
policy.setContentLengthRange(1, 20);
const { postURL, formData } = await s3.presignedPostPolicy(policy);
const form = new FormData();
for (const [name, value] of Object.entries(formData)) form.append(name, value);
form.append("file", new Blob(["through a form"]));
assert.equal((await fetch(postURL, { method: "POST", body: form })).status, 204);
assert.equal((await object("by form")).toString(), "through a form");

await s3.copyObject(bucket, "copy", `/${bucket}/by link`);
assert.equal((await object("copy")).toString(), "through a link");
await s3.setObjectTagging(bucket, "copy", { colour: "blue" });
assert.deepEqual(await s3.getObjectTagging(bucket, "copy"), [{ Key: "colour", Value: "blue" }]);
await s3.removeObjectTagging(bucket, "copy");

await s3.setBucketVersioning(bucket, { Status: "Enabled" });
assert.equal((await s3.getBucketVersioning(bucket)).Status, "Enabled");
const { versionId } = await s3.putObject(bucket, "v", "one");
await s3.putObject(bucket, "v", "two");
assert.equal((await object("v", { versionId })).toString(), "one");
await s3.removeObject(bucket, "v");
await refused("NoSuchKey", s3.getObject(bucket, "v"));
const versions = await all(s3.listObjects(bucket, "v", true, { IncludeVersion: true }));
assert.deepEqual([versions.length, versions.filter((entry) => entry.isDeleteMarker).length], [3, 1]);

await refused("NoSuchBucket", s3.getObject(`${bucket}-absent`, "x"));
await refused("BucketNotEmpty", s3.removeBucket(bucket));
const stranger = new Minio.Client({ ...at, accessKey, secretKey: "wrong" });
if (!process.env.S3_WITHOUT) await refused("SignatureDoesNotMatch", stranger.listBuckets());
const left = await all(s3.listObjects(bucket, "", true, { IncludeVersion: true }));
await s3.removeObjects(bucket, left.map((entry) => ({ name: entry.name, versionId: entry.versionId })));
await s3.removeBucket(bucket);
assert.ok(!(await s3.bucketExists(bucket)));
