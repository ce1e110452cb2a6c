// oauth4webapi in one row of the matrix: each way of asking in turn, as the client that it is told to be.
import * as oauth from "oauth4webapi";
import { ask, say, signingKey } from "./talk.mjs";

const told = JSON.parse(process.argv[2]);
const http = { [oauth.allowInsecureRequests]: true };
const key = told.jwk && (await signingKey(told.jwk, told.algorithm));
const url = new URL(told.issuer);
const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: "oauth2", ...http }));
const client = told.kind === "registration"
  ? await oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(as, told.members, http))
  : { client_id: told.clientId, client_secret: told.secret };
const authentication = {
  secret: () => oauth.ClientSecretBasic(client.client_secret),
  key: () => oauth.PrivateKeyJwt({ key, kid: told.jwk.kid }),
  public: () => oauth.None(),
}[told.method]();

// A server may want its own nonce in the proof: the library remembers it and has its caller try once more.
async function again(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return attempt();
  }
}

async function run(way) {
  const DPoP = way.includes("DPoP") ? oauth.DPoP(client, await oauth.generateKeyPair("ES256")) : undefined;
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const parameters = new URLSearchParams({
    client_id: client.client_id, redirect_uri: told.redirectUri, response_type: "code", scope: "openid email", state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  });
  const target = new URL(as.authorization_endpoint);
  if (way.includes("PAR")) {
    const pushed = await again(async () => oauth.processPushedAuthorizationResponse(as, client,
      await oauth.pushedAuthorizationRequest(as, client, authentication, parameters, { DPoP, ...http })));
    target.search = new URLSearchParams({ client_id: client.client_id, request_uri: pushed.request_uri });
  } else target.search = parameters;
  const answer = oauth.validateAuthResponse(as, client, new URL(await ask(target.href)), state);
  const tokens = await again(async () => oauth.processAuthorizationCodeResponse(as, client,
    await oauth.authorizationCodeGrantRequest(as, client, authentication, answer, told.redirectUri, verifier, { DPoP, ...http })));
  const renewed = await again(async () => oauth.processRefreshTokenResponse(as, client,
    await oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token, { DPoP, ...http })));
  const called = await again(() => oauth.protectedResourceRequest(
    renewed.access_token, "GET", new URL(told.api), undefined, undefined, { DPoP, ...http }));
  return { types: [tokens.token_type, renewed.token_type], called: called.status };
}
const said = {};
for (const way of told.ways) said[way] = await run(way);
say(said);
