// openid-client asks for its answer in the query, and in the body of a form (OAuth 2.0 Form Post Response Mode).
import * as client from "openid-client";
import { ask, failure, say } from "./talk.mjs";

const [issuer, clientId, redirectUri] = process.argv.slice(2);
const config = await client.discovery(new URL(issuer), clientId, undefined, client.None(), {
  execute: [client.allowInsecureRequests],
});

/** Return what the client's web server gets: a GET with a query, or a POST with a body. */
const arrived = (mode, said) => (mode === "form_post"
  ? new Request(redirectUri, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: said })
  : new URL(said));

async function signIn(mode, more = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()];
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri, scope: "openid", state: expectedState, nonce: expectedNonce, response_mode: mode,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256", ...more,
  });
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
  return client.authorizationCodeGrant(config, arrived(mode, await ask(url.href)), checks);
}

const got = {};
for (const mode of ["query", "form_post"]) {
  const tokens = await signIn(mode);
  got[mode] = { sub: tokens.claims().sub, denied: await failure(() => signIn(mode, { scope: "openid nonsense" })) };
}
say({ got, supported: config.serverMetadata().response_modes_supported });
