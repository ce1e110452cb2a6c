// oauth4webapi with tokens bound to its key: each answer may ask for a nonce, and the same request is sent again then.
import * as oauth from "oauth4webapi";
import { ask, say } from "./talk.mjs";

const [issuer, clientId, redirectUri, algorithm, clockSkew, withThumbprint, api] = process.argv.slice(2);
const http = { [oauth.allowInsecureRequests]: true };
const url = new URL(issuer);
const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: "oauth2", ...http }));
const client = { client_id: clientId, [oauth.clockSkew]: Number(clockSkew) };
const DPoP = oauth.DPoP(client, await oauth.generateKeyPair(algorithm));
const other = oauth.DPoP(client, await oauth.generateKeyPair(algorithm));
const authentication = oauth.None();
let asked = 0;

/** Send a request, and once more where the server wants its nonce. */
async function proved(request, process) {
  try {
    return await process(await request());
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    asked += 1;
    return process(await request());
  }
}
/** Do so, and return how it failed. */
async function refusal(request, process) {
  try {
    await proved(request, process);
  } catch (error) {
    return error.error;
  }
  throw new Error("this should have failed");
}

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const target = new URL(as.authorization_endpoint);
const thumbprint = await DPoP.calculateThumbprint();
for (const [name, value] of Object.entries({
  client_id: clientId, redirect_uri: redirectUri, response_type: "code", scope: "profile", state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  ...(withThumbprint === "yes" ? { dpop_jkt: thumbprint } : {}),
})) target.searchParams.set(name, value);
const callback = oauth.validateAuthResponse(as, client, new URL(await ask(target.href)), state);
const exchange = (handle) => () =>
  oauth.authorizationCodeGrantRequest(as, client, authentication, callback, redirectUri, verifier, { ...http, DPoP: handle });
const toTokens = (response) => oauth.processAuthorizationCodeResponse(as, client, response);
const stolen = withThumbprint === "yes" ? await refusal(exchange(other), toTokens) : null;
const tokens = await proved(exchange(DPoP), toTokens);
const refresh = (handle) => () =>
  oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token, { ...http, DPoP: handle });
const toRenewed = (response) => oauth.processRefreshTokenResponse(as, client, response);
const thief = await refusal(refresh(other), toRenewed);
const bearer = await refusal(refresh(undefined), toRenewed);
const renewed = await proved(refresh(DPoP), toRenewed);
const call = (handle, token = renewed.access_token) => () =>
  oauth.protectedResourceRequest(token, "GET", new URL(api), undefined, undefined, { ...http, DPoP: handle });
const answered = await proved(call(DPoP), (response) => response.status);
const challenge = async (handle) => {
  try {
    return (await proved(call(handle), (response) => response)).status;
  } catch (error) {
    return error.cause?.[0]?.parameters?.error ?? error.status;
  }
};
const withoutKey = [await challenge(other), await challenge(undefined)];
say({
  answered, withoutKey,
  served: as.dpop_signing_alg_values_supported.includes(algorithm), thumbprint, stolen, thief, bearer, asked,
  types: [tokens.token_type, renewed.token_type], token: renewed.access_token,
});
