// openid-client with a key: what it pushes, what it signs, and both at once.
import * as client from "openid-client";
import { ask, failure, say, signingKey } from "./talk.mjs";

const [issuer, clientId, redirectUri, algorithm, jwkText, way] = process.argv.slice(2);
const jwk = JSON.parse(jwkText);
const key = { key: await signingKey(jwk, algorithm), kid: jwk.kid };
const config = await client.discovery(new URL(issuer), clientId, undefined, client.PrivateKeyJwt(key), {
  execute: [client.allowInsecureRequests],
});
const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const parameters = {
  redirect_uri: redirectUri, scope: "openid email", state: expectedState, code_challenge_method: "S256",
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
};
const signed = async () => client.buildAuthorizationUrlWithJAR(config, parameters, key);
const url = {
  pushed: () => client.buildAuthorizationUrlWithPAR(config, parameters),
  signed,
  both: async () => client.buildAuthorizationUrlWithPAR(config, (await signed()).searchParams),
}[way];
const target = await url();
const tokens = await client.authorizationCodeGrant(config, new URL(await ask(target.href)), {
  pkceCodeVerifier, expectedState,
});
const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
const refused = await failure(() => client.buildAuthorizationUrlWithPAR(config, { ...parameters, redirect_uri: "https://evil.test/" }));
say({
  sent: [...target.searchParams.keys()].sort(), renewed: renewed.access_token !== tokens.access_token,
  refused: [refused.error, refused.status],
});
