// ethers against one node: a wallet that sends, a contract that is deployed, called and listened to.
// Usage: node ethers.mjs RPC_URL KEY TO TOKEN_ARTIFACT. Prints one JSON document of what it saw.
import { readFileSync } from "node:fs";
import { ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider, parseEther } from "ethers";

const [url, key, to, tokenPath] = process.argv.slice(2);
// ethers believes an answer for a quarter of a second unless told otherwise. Blocks here are as fast: a nonce would be used twice.
const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 50, cacheTimeout: -1 });
const live = new WebSocketProvider(url.replace("http", "ws"));
const wallet = new Wallet(key, provider);

const sent = await (await wallet.sendTransaction({ to, value: parseEther("1.5") })).wait();

const { abi, bytecode } = JSON.parse(readFileSync(tokenPath, "utf8"));
const token = await new ContractFactory(abi, bytecode.object, wallet).deploy("Ethers", "ETH", 1000n);
await token.waitForDeployment();
const heard = new Promise((resolve) => {
  token.connect(live).once("Transfer", (from, payee, value, event) => resolve({ from, payee, value, hash: event.log.transactionHash }));
});
// Listening begins with a request of its own; it is there once the next one is answered.
await live.getBlockNumber();
const moved = await (await token.transfer(to, 42n)).wait();
const event = await heard;
const past = await token.queryFilter(token.filters.Transfer(null, to), sent.blockNumber);
const refused = await token.transfer.staticCall(to, 10n ** 30n).then(() => "accepted", (error) => error.revert?.name ?? error.code);

const document = {
  network: (await provider.getNetwork()).chainId,
  sent: { status: sent.status, gasUsed: sent.gasUsed },
  balance: await provider.getBalance(to),
  supply: await token.totalSupply(),
  event: { ...event, moved: moved.hash },
  past: past.map((log) => log.args.value),
  refused,
  fee: (await provider.getFeeData()).maxFeePerGas > 0n,
};
console.log(JSON.stringify(document, (_, value) => (typeof value === "bigint" ? value.toString() : value)));
process.exit(0);
