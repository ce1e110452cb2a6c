// @modelcontextprotocol/client in one row of the matrix: each way of asking in turn, as the client that it is told to be.
import { auth, createPrivateKeyJwtAuth, DpopSession, withOAuth } from "@modelcontextprotocol/client";
import { ask, say } from "./talk.mjs";

const told = JSON.parse(process.argv[2]);
const METHODS = { secret: "client_secret_basic", key: "private_key_jwt", public: "none" };

async function run(way) {
  const kept = {};
  if (told.kind === "pre-made") {
    kept.client = {
      client_id: told.clientId, client_secret: told.secret, redirect_uris: [told.redirectUri],
      token_endpoint_auth_method: METHODS[told.method], issuer: told.issuer,
    };
  }
  const session = way.includes("DPoP") ? await DpopSession.create() : undefined;
  const provider = {
    redirectUrl: told.redirectUri,
    clientMetadata: told.members,
    clientMetadataUrl: told.kind === "document" ? told.clientId : undefined,
    state: () => "a-state-of-the-client",
    clientInformation: () => kept.client,
    saveClientInformation: (client) => { kept.client = client; },
    tokens: () => kept.tokens,
    saveTokens: (tokens) => { kept.tokens = tokens; },
    saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
    codeVerifier: () => kept.verifier,
    redirectToAuthorization: (url) => { kept.url = url; },
    dpop: () => session,
    addClientAuthentication: told.method === "key"
      ? (...request) => createPrivateKeyJwtAuth({
          issuer: kept.client.client_id, subject: kept.client.client_id, privateKey: told.jwk, alg: told.algorithm,
        })(...request)
      : undefined,
  };
  await auth(provider, { serverUrl: told.api });
  const answer = new URL(await ask(kept.url.href)).searchParams;
  await auth(provider, { serverUrl: told.api, authorizationCode: answer.get("code"), iss: answer.get("iss") });
  const first = kept.tokens;
  await auth(provider, { serverUrl: told.api });
  const called = await withOAuth(provider, told.api)(fetch)(told.api);
  return { types: [first, kept.tokens].map((tokens) => tokens.token_type.toLowerCase()), called: called.status };
}
const said = {};
for (const way of told.ways) said[way] = await run(way);
say(said);
