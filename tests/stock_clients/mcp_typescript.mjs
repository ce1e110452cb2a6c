// auth() of @modelcontextprotocol/sdk, as a command-line client uses it.
import { auth } from "@modelcontextprotocol/sdk/client/auth.js";
import { ask, say } from "./talk.mjs";

const [serverUrl, redirectUrl, method] = process.argv.slice(2);
const kept = {};

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
  redirectToAuthorization: (url) => { kept.url = url; },
};

const first = await auth(provider, { serverUrl });
const answer = new URL(await ask(kept.url.href));
const second = await auth(provider, { serverUrl, authorizationCode: answer.searchParams.get("code") });
const token = kept.tokens.access_token;
const third = await auth(provider, { serverUrl });
const called = await fetch(serverUrl, { headers: { Authorization: `Bearer ${kept.tokens.access_token}` } });
say({
  steps: [first, second, third],
  status: called.status,
  renewed: token !== kept.tokens.access_token,
  hasSecret: Boolean(kept.client.client_secret),
  resource: kept.url.searchParams.get("resource"),
});
