// openid-client follows the challenge of RFC 9470: it asks for what the challenge names, and calls again.
import * as client from "openid-client";
import { ask, say } from "./talk.mjs";

const [issuer, redirectUri, resource] = process.argv.slice(2);
const config = await client.dynamicClientRegistration(
  new URL(issuer), { redirect_uris: [redirectUri], client_name: "Web application", token_endpoint_auth_method: "none" },
  client.None(), { algorithm: "oauth2", execute: [client.allowInsecureRequests] });

async function tokenFor(parameters) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri, state, code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256", ...parameters,
  });
  const answer = new URL(await ask(url.href));
  const tokens = await client.authorizationCodeGrant(config, answer, { pkceCodeVerifier: verifier, expectedState: state });
  return tokens.access_token;
}
const call = (token) => client.fetchProtectedResource(config, token, new URL(resource), "POST");

let token = await tokenFor({ scope: "tools:write" });
let challenge;
try {
  await call(token);
} catch (error) {
  challenge = { status: error.status, scheme: error.cause[0].scheme, ...error.cause[0].parameters };
}
const { acr_values, max_age, scope } = challenge;
token = await tokenFor({ acr_values, max_age, scope });
const passed = await call(token);
say({ challenge, status: passed.status, body: await passed.json() });
