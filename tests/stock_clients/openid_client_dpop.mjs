// openid-client with tokens bound to its key: it sends a request again with the nonce that it was told.
import * as client from "openid-client";
import { ask, failure, say } from "./talk.mjs";

const [issuer, clientId, redirectUri, algorithm, api] = process.argv.slice(2);
const config = await client.discovery(new URL(issuer), clientId, undefined, client.None(), {
  execute: [client.allowInsecureRequests],
});
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair(algorithm));
const other = client.getDPoPHandle(config, await client.randomDPoPKeyPair(algorithm));
const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const thumbprint = await DPoP.calculateThumbprint();
// The proof of the push binds the code (RFC 9449 §10.1).
const url = await client.buildAuthorizationUrlWithPAR(config, {
  redirect_uri: redirectUri, scope: "openid email", state: expectedState, code_challenge_method: "S256",
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
}, { DPoP });
const answer = new URL(await ask(url.href));
const exchange = (handle) => client.authorizationCodeGrant(
  config, answer, { pkceCodeVerifier, expectedState }, undefined, { DPoP: handle });
const stolen = await failure(() => exchange(other));
const tokens = await exchange(DPoP);
const thief = await failure(() => client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: other }));
const bearer = await failure(() => client.refreshTokenGrant(config, tokens.refresh_token));
const renewed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
const userinfo = await client.fetchUserInfo(config, renewed.access_token, tokens.claims().sub, { DPoP });
const answered = await client.fetchProtectedResource(config, renewed.access_token, new URL(api), "GET", undefined, undefined, { DPoP });
const bearerCall = await failure(() => client.fetchUserInfo(config, renewed.access_token, client.skipSubjectCheck));
say({
  email: userinfo.email, answered: answered.status, bearerCall: bearerCall.status,
  thumbprint, stolen: stolen.error, thief: thief.error, bearer: bearer.error,
  types: [tokens.token_type, renewed.token_type], token: renewed.access_token,
});
