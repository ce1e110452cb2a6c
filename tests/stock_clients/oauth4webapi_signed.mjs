// oauth4webapi has userinfo (OpenID Connect Core §5.3.2) and introspection (RFC 9701) signed, and checks the signatures.
import * as oauth from "oauth4webapi";
import { ask, say } from "./talk.mjs";

const [issuerUrl, redirectUri, algorithm] = process.argv.slice(2);
const http = { [oauth.allowInsecureRequests]: true };
const url = new URL(issuerUrl);
const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, http));
const client = await oauth.processDynamicClientRegistrationResponse(
  await oauth.dynamicClientRegistrationRequest(as, {
    redirect_uris: [redirectUri], client_name: "Signed", token_endpoint_auth_method: "client_secret_basic",
    userinfo_signed_response_alg: algorithm, introspection_signed_response_alg: algorithm,
  }, http));
const authentication = oauth.ClientSecretBasic(client.client_secret);
const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const target = new URL(as.authorization_endpoint);
for (const [name, value] of Object.entries({
  client_id: client.client_id, redirect_uri: redirectUri, response_type: "code", scope: "openid email", state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
})) target.searchParams.set(name, value);
const callback = oauth.validateAuthResponse(as, client, new URL(await ask(target.href)), state);
const tokens = await oauth.processAuthorizationCodeResponse(as, client,
  await oauth.authorizationCodeGrantRequest(as, client, authentication, callback, redirectUri, verifier, http));
const { sub } = oauth.getValidatedIdTokenClaims(tokens);

const answer = await oauth.userInfoRequest(as, client, tokens.access_token, http);
const userinfo = await oauth.processUserInfoResponse(as, client, sub, answer);
await oauth.validateApplicationLevelSignature(as, answer, http);
const described = await oauth.introspectionRequest(as, client, authentication, tokens.access_token, http);
const introspected = await oauth.processIntrospectionResponse(as, client, described);
await oauth.validateApplicationLevelSignature(as, described, http);
say({
  registered: [client.userinfo_signed_response_alg, client.introspection_signed_response_alg],
  types: [answer, described].map((one) => one.headers.get("content-type")), sub, userinfo, introspected,
});
