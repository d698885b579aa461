// viem against one node: a contract's life, many reads in one call, a watched event, an account that lends code.
// Usage: node viem.mjs RPC_URL KEY OTHER_KEY TOKEN_ARTIFACT TILL_ARTIFACT. Prints one JSON document of what it saw.
import { readFileSync } from "node:fs";
import { createPublicClient, createWalletClient, defineChain, http, parseEther, webSocket } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";

const [url, key, otherKey, tokenPath, tillPath] = process.argv.slice(2);
const artifact = (path) => {
  const { abi, bytecode } = JSON.parse(readFileSync(path, "utf8"));
  return { abi, bytecode: bytecode.object };
};
const chain = defineChain({
  id: 11332,
  name: "localnet",
  nativeCurrency: { name: "CESS", symbol: "CESS", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
  contracts: { multicall3: { address: "0xcA11bde05977b3631167028862bE2a173976CA11" } },
});
const options = { chain, pollingInterval: 50 };
const reader = createPublicClient({ ...options, transport: http(url) });
const live = createPublicClient({ ...options, transport: webSocket(url.replace("http", "ws")) });
const walletOf = (secret) => createWalletClient({ ...options, transport: http(url), account: privateKeyToAccount(secret) });
const [wallet, other] = [walletOf(key), walletOf(otherKey)];
const included = async (hash) => {
  const receipt = await reader.waitForTransactionReceipt({ hash });
  if (receipt.status !== "success") throw new Error(`${hash} reverted`);
  return receipt;
};

const token = artifact(tokenPath);
const args = ["Viem", "VIM", parseEther("1000")];
const { contractAddress: address } = await included(await wallet.deployContract({ ...token, args }));
const at = { address, abi: token.abi };

// The first event that arrives by eth_subscribe ends the wait; the harness bounds how long it may take.
let unwatch;
const transfer = new Promise((resolve, reject) => {
  unwatch = live.watchContractEvent({ ...at, eventName: "Transfer", onLogs: ([log]) => resolve(log), onError: reject });
});
// A subscription is there once an answer to a later request on the same connection is.
await live.getBlockNumber();
const sent = await wallet.writeContract({ ...at, functionName: "transfer", args: [other.account.address, 7n] });
await included(sent);
const seen = await transfer;
unwatch();

const balanceOf = (account) => ({ ...at, functionName: "balanceOf", args: [account.address] });
const balance = await reader.readContract(balanceOf(other.account));
const many = await reader.multicall({
  contracts: [balanceOf(wallet.account), balanceOf(other.account), { ...at, functionName: "symbol" }, { ...at, functionName: "transfer", args: [other.account.address, 10n ** 30n] }],
});
const refused = await wallet.writeContract({ ...at, functionName: "transfer", args: [other.account.address, 10n ** 30n] }).then(
  () => "accepted",
  (error) => error.walk((e) => e.data?.errorName)?.data.errorName ?? error.shortMessage,
);

// EIP-7702: an account of its own sets its code to the till's and pays two at once.
const till = artifact(tillPath);
const { contractAddress: tillAddress } = await included(await wallet.deployContract(till));
const payer = walletOf(generatePrivateKey());
await included(await wallet.sendTransaction({ to: payer.account.address, value: parseEther("2") }));
const authorization = await payer.signAuthorization({ contractAddress: tillAddress, executor: "self" });
const payees = [1, 2].map((n) => `0x${String(n).padStart(40, "e")}`);
const paid = await included(
  await payer.writeContract({ abi: till.abi, address: payer.account.address, functionName: "pay", args: [payees, 5n], authorizationList: [authorization] }),
);
const payments = await Promise.all(payees.map((payee) => reader.getBalance({ address: payee })));
const logs = await reader.getContractEvents({ ...till, address: payer.account.address, eventName: "Paid", fromBlock: paid.blockNumber });

const text = (_, value) => (typeof value === "bigint" ? value.toString() : value);
const document = {
  chainId: await live.getChainId(),
  seen: { hash: seen.transactionHash, value: seen.args.value, sent },
  balance,
  many: many.map(({ status, result }) => ({ status, result })),
  refused,
  type: paid.type,
  code: await reader.getCode({ address: payer.account.address }),
  tillAddress,
  payments,
  logs: logs.map((log) => [log.args.payee, log.args.amount]),
};
console.log(JSON.stringify(document, text));
process.exit(0);
