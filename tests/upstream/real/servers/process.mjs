// What every provider of npm here shares: a port, keys, people, a log, and orders as lines of JSON on stdin.
//
// A client may be told at /told, by a POST: what came there is kept for an order.
// The first line on stdout is {"port"}. Each order is answered by one line. The process ends with its stdin.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

// Providers print notices. stdout is for the answers.
console.log = console.info = console.error;

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

export function makeKey(kid) {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" };
}

async function keep(request, response, told) {
  let body = "";
  for await (const chunk of request) body += chunk;
  told.push(Object.fromEntries(new URLSearchParams(body)));
  response.end();
}

// build({ issuer, key, people }) → a listener of node:http. It is called again when the key changes.
export async function serve(build) {
  const requests = [];
  const told = [];
  const people = new Map();
  let listener;
  let generation = 1;
  const server = createServer((request, response) => {
    if (request.url === "/told") return keep(request, response, told);
    requests.push({ method: request.method, path: request.url.split("?")[0] });
    listener(request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  const rebuild = async () => {
    listener = await build({ issuer: `http://127.0.0.1:${port}`, key: makeKey(`key-${generation}`), people });
  };
  await rebuild();
  say({ port });
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (order.do === "person") people.set(order.sub, order.claims);
    if (order.do === "new_key") generation += order.same_kid ? 0 : 1;
    if (order.do === "new_key") await rebuild();
    say({ requests: () => requests.splice(0), told: () => told.splice(0) }[order.do]?.() ?? {});
  }
  process.exit(0);
}
