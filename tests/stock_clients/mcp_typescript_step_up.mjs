// StreamableHTTPClientTransport of @modelcontextprotocol/client: it registers with what the first challenge names, and steps up.
import { DpopSession, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { ask, say } from "./talk.mjs";

const [serverUrl, redirectUrl, isBound] = process.argv.slice(2);
const kept = {};
const asked = [];
const provider = {
  redirectUrl,
  clientMetadata: {
    redirect_uris: [redirectUrl], client_name: "Stock client", token_endpoint_auth_method: "none",
    grant_types: ["authorization_code", "refresh_token"], response_types: ["code"],
  },
  state: () => "a-state-of-the-client",
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  codeVerifier: () => kept.verifier,
  redirectToAuthorization: (url) => { kept.url = url; asked.push(url.searchParams.get("scope")); },
};
if (isBound === "yes") {
  const session = await DpopSession.create();
  provider.dpop = () => session;
}
const results = [];
const transport = new StreamableHTTPClientTransport(new URL(serverUrl), { authProvider: provider });
transport.onmessage = (message) => results.push(message.result);
await transport.start();

// As an application does: the person answers, and the message is sent again.
async function send(message) {
  try {
    await transport.send(message);
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    const answer = new URL(await ask(kept.url.href));
    await transport.finishAuth(answer.searchParams);
    await transport.send(message);
  }
}

await send({ jsonrpc: "2.0", id: 1, method: "tools/list" });
const first = kept.tokens;
await send({ jsonrpc: "2.0", id: 2, method: "tools/call", params: { name: "create_note" } });
await send({ jsonrpc: "2.0", id: 3, method: "tools/list" });
await send({ jsonrpc: "2.0", id: 4, method: "tools/call", params: { name: "create_note" } });
say({ asked, results, granted: [first.scope, kept.tokens.scope], types: [first.token_type, kept.tokens.token_type],
  older: (await fetch(serverUrl, { headers: { Authorization: `Bearer ${first.access_token}` } })).status });
