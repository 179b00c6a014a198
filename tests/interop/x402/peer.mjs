// A shop that is paid by x402, and a wallet that signs in and pays. Speaks JSON on a loopback port; ends with its
// standard input. In the place of a chain stands a book of nonces and one balance.
import { serve } from "@hono/node-server";
import { x402Facilitator } from "@x402/core/facilitator";
import { ExactEvmScheme as Pays } from "@x402/evm/exact/client";
import { ExactEvmScheme as Facilitates } from "@x402/evm/exact/facilitator";
import { ExactEvmScheme as Serves } from "@x402/evm/exact/server";
import * as newest from "@x402/fetch";
import { paymentMiddleware, x402ResourceServer } from "@x402/hono";
import { Hono } from "hono";
import { verifyMessage, verifyTypedData } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { createSiweMessage, parseSiweMessage } from "viem/siwe";
import { ExactEvmScheme as PaysLocked } from "x402-evm-locked/exact/client";
import * as locked from "x402-fetch-locked";

const BASE_SEPOLIA = "eip155:84532";
const SELLER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const clients = { locked: [locked, PaysLocked], newest: [newest, Pays] };

const book = { nonces: [], balance: 0n };
function checked([from, , value, after, before, nonce]) {
  const now = BigInt(Math.floor(Date.now() / 1000));
  if (book.nonces.includes(nonce)) throw new Error("execution reverted: authorization is used or canceled");
  if (value > book.balance) throw new Error("execution reverted: ERC20: transfer amount exceeds balance");
  if (now < after || now > before) throw new Error("execution reverted: authorization is not valid");
  return { from, value, nonce };
}
const chain = {
  getAddresses: () => [SELLER],
  getCode: async ({ address }) => (address.toLowerCase() === book.payer ? undefined : "0x60"),
  readContract: async ({ functionName, args }) => {
    if (functionName === "balanceOf") return book.balance;
    if (functionName === "transferWithAuthorization") return void checked(args);
    if (functionName === "authorizationState") return book.nonces.includes(args[1]);
    throw new Error(`execution reverted: ${functionName}`);
  },
  verifyTypedData: (told) => verifyTypedData(told),
  writeContract: async ({ args }) => {
    const { value, nonce } = checked(args);
    book.nonces.push(nonce);
    book.balance -= value;
    return `0x${book.nonces.length.toString(16).padStart(64, "0")}`;
  },
  sendTransaction: async () => {
    throw new Error("execution reverted: sendTransaction");
  },
  waitForTransactionReceipt: async () => ({ status: "success" }),
};

const facilitator = new x402Facilitator();
facilitator.register([BASE_SEPOLIA], new Facilitates(chain));
const nearby = {
  verify: (payload, wanted) => facilitator.verify(payload, wanted),
  settle: (payload, wanted) => facilitator.settle(payload, wanted),
  getSupported: async () => facilitator.getSupported(),
};
const seller = new x402ResourceServer(nearby).register(BASE_SEPOLIA, new Serves());
const sold = (price, description) => ({
  accepts: { scheme: "exact", price, network: BASE_SEPOLIA, payTo: SELLER },
  description,
});

const app = new Hono();
app.use(paymentMiddleware({ "POST /cheap": sold("$0.01", "Cheap"), "POST /dear": sold("$5.00", "Dear") }, seller));
app.post("/:name{cheap|dear}", async (c) => c.json({ name: c.req.param("name"), body: await c.req.text() }));

app.post("/control/book", async (c) => {
  const { balance, payer } = await c.req.json();
  Object.assign(book, { nonces: [], balance: BigInt(balance), payer: payer.toLowerCase() });
  return c.json({});
});
app.get("/control/book", (c) => c.json({ nonces: book.nonces, balance: String(book.balance) }));
app.post("/control/pay", async (c) => {
  const { client, key, url, headers, body } = await c.req.json();
  const [{ wrapFetchWithPayment, x402Client }, Scheme] = clients[client];
  const paying = new x402Client().register("eip155:*", new Scheme(privateKeyToAccount(key)));
  const answer = await wrapFetchWithPayment(fetch, paying)(url, { method: "POST", headers, body });
  return c.json({
    status: answer.status,
    headers: Object.fromEntries(answer.headers),
    body: await answer.text(),
  });
});
app.post("/control/siwe", async (c) => {
  const { key, ...fields } = await c.req.json();
  for (const name of ["issuedAt", "expirationTime"]) if (fields[name]) fields[name] = new Date(fields[name]);
  const account = privateKeyToAccount(key);
  const text = createSiweMessage({ address: account.address, ...fields });
  return c.json({ text, signature: await account.signMessage({ message: text }) });
});
app.post("/control/read", async (c) => {
  const { text, signature, address } = await c.req.json();
  const valid = await verifyMessage({ address, message: text, signature });
  return c.json({ valid, fields: parseSiweMessage(text) });
});
app.onError((error, c) => c.json({ error: String(error) }, 500));

serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}` }));
});
process.stdin.resume().on("end", () => process.exit());
