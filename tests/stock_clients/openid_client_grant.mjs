// openid-client uses one grant for several APIs: each refresh names a resource and a scope of it (RFC 8707 §2.2).
import * as client from "openid-client";
import { ask, failure, say } from "./talk.mjs";

const [issuer, clientId, redirectUri, resourcesText, scopesText, turns] = process.argv.slice(2);
const [resources, scopes] = [JSON.parse(resourcesText), JSON.parse(scopesText)];
const config = await client.discovery(new URL(issuer), clientId, undefined, client.None(), {
  execute: [client.allowInsecureRequests],
});
const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const parameters = new URLSearchParams({
  redirect_uri: redirectUri, scope: scopes.join(" "), state: expectedState, code_challenge_method: "S256",
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
});
for (const resource of resources) parameters.append("resource", resource);
const answer = new URL(await ask(client.buildAuthorizationUrl(config, parameters).href));
let tokens = await client.authorizationCodeGrant(config, answer, { pkceCodeVerifier, expectedState });
const got = [];
for (let turn = 0; turn < Number(turns); turn++) {
  const [resource, scope] = [resources[turn % resources.length], scopes[turn % scopes.length]];
  tokens = await client.refreshTokenGrant(config, tokens.refresh_token, { resource, scope });
  const called = await fetch(resource, { headers: { Authorization: `Bearer ${tokens.access_token}` } });
  const elsewhere = resources.find((other) => other !== resource);
  const refused = await fetch(elsewhere, { headers: { Authorization: `Bearer ${tokens.access_token}` } });
  got.push([tokens.scope, called.status, refused.status]);
}
const beyondScope = await failure(() => client.refreshTokenGrant(config, tokens.refresh_token, { scope: "openid admin" }));
const beyondResource = await failure(() => client.refreshTokenGrant(config, tokens.refresh_token, { resource: "https://other.example/" }));
const whole = await client.refreshTokenGrant(config, tokens.refresh_token);
say({ got, beyondScope, beyondResource, whole: whole.scope });
