// oauth4webapi, request by request: it checks each answer as strictly as the RFCs allow, and repairs nothing.
import { createHash } from "node:crypto";
import * as oauth from "oauth4webapi";
import { ask, failure, say } from "./talk.mjs";

const [issuerUrl, api, redirectUri, method] = process.argv.slice(2);
const http = { [oauth.allowInsecureRequests]: true };

// -- discovery: from the resource's 401 to the authorization server (RFC 9728 §5, RFC 8414 §3, OpenID) --------
const refused = await failure(() => oauth.protectedResourceRequest("no-token-of-anybody", "GET", new URL(api), undefined, undefined, http));
const challenge = refused.challenges[0];
const named = await fetch(challenge.parameters.resource_metadata);
const resource = await oauth.processResourceDiscoveryResponse(new URL(api), named);
const guessed = await oauth.processResourceDiscoveryResponse(new URL(api), await oauth.resourceDiscoveryRequest(new URL(api), http));
const [found] = resource.authorization_servers;
const url = new URL(found);
const discover = async (algorithm) =>
  oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm, ...http }));
const as = await discover("oauth2");
const openid = await discover("oidc");

// -- registration (RFC 7591) ------------------------------------------------------------------------------
const client = await oauth.processDynamicClientRegistrationResponse(
  await oauth.dynamicClientRegistrationRequest(as, {
    redirect_uris: [redirectUri], client_name: "Strict", token_endpoint_auth_method: method,
  }, http));
const badRegistration = await failure(async () => oauth.processDynamicClientRegistrationResponse(
  await oauth.dynamicClientRegistrationRequest(as, { redirect_uris: ["javascript:alert(1)"] }, http)));
const authentication = {
  none: () => oauth.None(),
  client_secret_basic: () => oauth.ClientSecretBasic(client.client_secret),
  client_secret_post: () => oauth.ClientSecretPost(client.client_secret),
}[client.token_endpoint_auth_method]();

// -- a code, with PKCE, state, nonce, iss and max_age -----------------------------------------------------
async function authorize(changes = {}) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const nonce = oauth.generateRandomNonce();
  const target = new URL(as.authorization_endpoint);
  const parameters = {
    client_id: client.client_id, redirect_uri: redirectUri, response_type: "code", scope: client.scope, state, nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256", ...changes,
  };
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) target.searchParams.set(name, value);
  const answer = new URL(await ask(target.href));
  return { verifier, nonce: parameters.nonce, answer: () => oauth.validateAuthResponse(as, client, answer, state) };
}
const exchange = ({ answer, verifier }, changed = {}, auth = authentication) =>
  oauth.authorizationCodeGrantRequest(as, client, auth, answer(), changed.redirectUri ?? redirectUri, changed.verifier ?? verifier,
    { additionalParameters: changed.parameters, ...http });

const flow = await authorize({ max_age: "3600" });
const wrongVerifier = await failure(async () =>
  oauth.processAuthorizationCodeResponse(as, client, await exchange(flow, { verifier: oauth.generateRandomCodeVerifier() })));
const wrongRedirect = await failure(async () =>
  oauth.processAuthorizationCodeResponse(as, client, await exchange(flow, { redirectUri: `${redirectUri}/other` })));
const wrongSecret = method === "none" ? null : await failure(async () =>
  oauth.processAuthorizationCodeResponse(as, client, await exchange(flow, {}, { client_secret_basic: oauth.ClientSecretBasic,
    client_secret_post: oauth.ClientSecretPost }[method]("not the secret"))));
const response = await exchange(flow);
const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, {
  expectedNonce: flow.nonce, maxAge: 3600, requireIdToken: true });
await oauth.validateApplicationLevelSignature(as, response, http);
const claims = oauth.getValidatedIdTokenClaims(tokens);
const half = createHash("sha256").update(tokens.access_token).digest().subarray(0, 16).toString("base64url");

// -- what the tokens do -----------------------------------------------------------------------------------
const userinfo = await oauth.processUserInfoResponse(as, client, claims.sub,
  await oauth.userInfoRequest(as, client, tokens.access_token, http));
const called = await oauth.protectedResourceRequest(tokens.access_token, "GET", new URL(api), undefined, undefined, http);
const verified = await oauth.validateJwtAccessToken(as,
  new Request(api, { headers: { Authorization: `Bearer ${tokens.access_token}` } }), as.issuer, http);
const introspect = async (token, auth = authentication) =>
  oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, token, http));
const introspected = method === "none" ? await failure(() => introspect(tokens.access_token)) : await introspect(tokens.access_token);

const refreshResponse = await oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token, http);
const refreshed = await oauth.processRefreshTokenResponse(as, client, refreshResponse);
const renewedClaims = oauth.getValidatedIdTokenClaims(refreshed);
await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, refreshed.refresh_token, http));
const afterRevocation = method === "none" ? null : await introspect(refreshed.access_token);
const deadUserinfo = await failure(async () => oauth.processUserInfoResponse(as, client, claims.sub,
  await oauth.userInfoRequest(as, client, refreshed.access_token, http)));
const deadRefresh = await failure(async () => oauth.processRefreshTokenResponse(as, client,
  await oauth.refreshTokenGrantRequest(as, client, authentication, refreshed.refresh_token, http)));

// -- answers that are errors: with state and iss, like the good ones ---------------------------------------
const plain = await authorize({ scope: undefined, nonce: undefined });
const withoutScope = await oauth.processAuthorizationCodeResponse(as, client, await exchange(plain));
const silent = await authorize({ prompt: "none" });
const silentTokens = await oauth.processAuthorizationCodeResponse(as, client, await exchange(silent), { expectedNonce: silent.nonce });
const denials = {};
for (const [name, changes] of Object.entries({
  loginRequired: { prompt: "none", max_age: "0" },
  badScope: { scope: "openid scope-of-nobody" },
  requestObject: { request: "eyJhbGciOiJub25lIn0.e30." },
  noPkce: { code_challenge: undefined, code_challenge_method: undefined },
  plainPkce: { code_challenge_method: "plain" },
})) {
  const asked = await authorize(changes);
  denials[name] = (await failure(async () => asked.answer())).error;
}

say({
  sameDocument: JSON.stringify(as) === JSON.stringify(openid),
  issuer: as.issuer, found, challenge, resource: [resource.resource, guessed.resource],
  registered: { method: client.token_endpoint_auth_method, secret: Boolean(client.client_secret),
    expires: client.client_secret_expires_at, scope: client.scope },
  badRegistration, wrongVerifier, wrongRedirect, wrongSecret,
  atHash: claims.at_hash === half, authTime: claims.auth_time, amr: claims.amr, subject: claims.sub,
  scope: tokens.scope, userinfo, called: called.status, verified, introspected,
  refreshed: { scope: refreshed.scope, sameSubject: renewedClaims?.sub === claims.sub,
    authTime: renewedClaims?.auth_time, nonce: renewedClaims?.nonce ?? null },
  afterRevocation, deadUserinfo, deadRefresh,
  withoutScope: withoutScope.scope, silent: silentTokens.scope, denials,
});
