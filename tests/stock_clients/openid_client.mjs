// openid-client, as a web application uses it: discovery and registration in one call, then the high-level grants.
import * as client from "openid-client";
import { ask, failure, say } from "./talk.mjs";

const [issuer, redirectUri, algorithm, method] = process.argv.slice(2);
const options = { algorithm, execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] };
const config = await client.dynamicClientRegistration(
  new URL(issuer), { redirect_uris: [redirectUri], client_name: "Web application", token_endpoint_auth_method: method },
  undefined, options);
const metadata = config.clientMetadata();

async function request(parameters) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri, state, nonce, code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256", ...parameters,
  });
  return { url, checks: { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce } };
}
const grant = (answer, checks) => client.authorizationCodeGrant(config, new URL(answer), checks);

// A library that finds offline_access advertised asks for it, and for consent with it (OpenID Connect Core §11).
const first = await request({ scope: "openid email offline_access", prompt: "consent" });
const answer = await ask(first.url.href);
const forged = new URL(answer);
forged.searchParams.set("iss", "https://attacker.example");
const mixUp = await failure(() => grant(forged.href, first.checks));
const noIssuer = new URL(answer);
noIssuer.searchParams.delete("iss");
const withoutIssuer = await failure(() => grant(noIssuer.href, first.checks));
const otherState = await failure(() => grant(answer, { ...first.checks, expectedState: "other" }));
const tokens = await grant(answer, { ...first.checks, idTokenExpected: true });
const replay = await failure(() => grant(answer, first.checks));

// max_age: who signed in longer ago signs in again, and auth_time says so.
const aged = await request({ scope: "openid", max_age: "0" });
const agedTokens = await grant(await ask(aged.url.href), { ...aged.checks, maxAge: 1, idTokenExpected: true });

// Once more, now that nothing is in the way: a code without a page.
const again = await request({ scope: "openid email" });
const againTokens = await grant(await ask(again.url.href), again.checks);
const userinfo = await client.fetchUserInfo(config, againTokens.access_token, againTokens.claims().sub);
const refreshed = await client.refreshTokenGrant(config, againTokens.refresh_token, { scope: "openid" });
const wider = await failure(() => client.refreshTokenGrant(config, refreshed.refresh_token, { scope: "openid profile" }));
const introspected = method === "none" ? null : await client.tokenIntrospection(config, refreshed.access_token);
await client.tokenRevocation(config, refreshed.access_token, { token_type_hint: "access_token" });
await client.tokenRevocation(config, "unknown to everybody");
const gone = await failure(() => client.fetchUserInfo(config, refreshed.access_token, client.skipSubjectCheck));
const denied = await request({ scope: "openid" });
const denial = await failure(async () => grant(await ask(denied.url.href, { refuse: true }), denied.checks));

say({
  issuer: config.serverMetadata().issuer, supportsPkce: config.serverMetadata().supportsPKCE(),
  method: metadata.token_endpoint_auth_method, mixUp, withoutIssuer, otherState, replay, denial,
  scope: tokens.scope, refreshable: Boolean(tokens.refresh_token), sessions: [tokens.claims().sid, agedTokens.claims().sid],
  authTime: [tokens.claims().auth_time, agedTokens.claims().auth_time],
  userinfo, narrowed: refreshed.scope, wider, introspected, gone,
});
