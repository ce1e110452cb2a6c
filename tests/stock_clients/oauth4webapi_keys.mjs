// oauth4webapi as an operator entered it, with a key: each request of its own signs a new assertion.
import * as oauth from "oauth4webapi";
import { ask, failure, say, signingKey } from "./talk.mjs";

const [issuer, clientId, redirectUri, algorithm, jwkText] = process.argv.slice(2);
const http = { [oauth.allowInsecureRequests]: true };
const jwk = JSON.parse(jwkText);
const key = await signingKey(jwk, algorithm);
const url = new URL(issuer);
const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: "oauth2", ...http }));
const client = { client_id: clientId };
const authentication = oauth.PrivateKeyJwt({ key, kid: jwk.kid });
const toEndpoint = oauth.PrivateKeyJwt({ key, kid: jwk.kid }, {
  [oauth.modifyAssertion]: (header, payload) => { payload.aud = as.token_endpoint; },
});
const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const target = new URL(as.authorization_endpoint);
for (const [name, value] of Object.entries({
  client_id: clientId, redirect_uri: redirectUri, response_type: "code", scope: "openid email", state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
})) target.searchParams.set(name, value);
const callback = oauth.validateAuthResponse(as, client, new URL(await ask(target.href)), state);
const exchange = async (auth) => oauth.processAuthorizationCodeResponse(as, client,
  await oauth.authorizationCodeGrantRequest(as, client, auth, callback, redirectUri, verifier, http));
const refused = await failure(() => exchange(toEndpoint));
const tokens = await exchange(authentication);
const renewed = await oauth.processRefreshTokenResponse(as, client,
  await oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token, http));
const introspect = async () => oauth.processIntrospectionResponse(as, client,
  await oauth.introspectionRequest(as, client, authentication, renewed.access_token, http));
const before = await introspect();
const own = await oauth.processClientCredentialsResponse(as, client,
  await oauth.clientCredentialsGrantRequest(as, client, authentication, { scope: "profile" }, http));
await oauth.processRevocationResponse(
  await oauth.revocationRequest(as, client, authentication, renewed.access_token, http));
const after = await introspect();
say({ refused, renewed: renewed.access_token !== tokens.access_token, active: before.active, scope: own.scope, after: after.active });
