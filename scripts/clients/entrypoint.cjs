// Writes ERC-4337's EntryPoint as a genesis deployment: the salt it was deployed with everywhere and its published init code.
// Usage: node entrypoint.cjs ARTIFACT SALT FILE. Whether the bytes are the canonical ones is told by the address they lead to.
const { readFileSync, writeFileSync } = require("node:fs");

const [artifact, salt, file] = process.argv.slice(2);
const { bytecode } = JSON.parse(readFileSync(artifact, "utf8"));
writeFileSync(file, `${salt}${bytecode.replace(/^0x/, "")}\n`);
