// auth() of @modelcontextprotocol/sdk, as a command-line client uses it. Talks to the test in lines of JSON.
import { createInterface } from "node:readline";
import { auth } from "@modelcontextprotocol/sdk/client/auth.js";

const [serverUrl, redirectUrl, method] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const kept = {};
const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

const provider = {
  redirectUrl,
  clientMetadata: {
    redirect_uris: [redirectUrl],
    client_name: "Stock client",
    token_endpoint_auth_method: method,
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
  },
  state: () => "a-state-of-the-client",
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  codeVerifier: () => kept.verifier,
  redirectToAuthorization: (url) => say({ open: url.href }),
};

const first = await auth(provider, { serverUrl });
const { value } = await lines.next();
const code = new URL(value).searchParams.get("code");
const second = await auth(provider, { serverUrl, authorizationCode: code });
const token = kept.tokens.access_token;
const third = await auth(provider, { serverUrl });
const answer = await fetch(serverUrl, { headers: { Authorization: `Bearer ${kept.tokens.access_token}` } });
say({
  steps: [first, second, third],
  status: answer.status,
  renewed: token !== kept.tokens.access_token,
  hasSecret: Boolean(kept.client.client_secret),
});
process.exit(0);
