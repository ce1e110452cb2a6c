// oauth4webapi calls resources with a token that is bound to its key, and is a resource server that takes such a token.
import * as oauth from "oauth4webapi";
import { ask, say } from "./talk.mjs";

const [issuer, clientId, redirectUri, algorithm, resource] = process.argv.slice(2);
const http = { [oauth.allowInsecureRequests]: true };
const url = new URL(issuer);
const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: "oauth2", ...http }));
const client = { client_id: clientId };
const DPoP = oauth.DPoP(client, await oauth.generateKeyPair(algorithm));
const thief = oauth.DPoP(client, await oauth.generateKeyPair(algorithm));

/** Send a request, and once more where the server wants its nonce. */
async function proved(request) {
  try {
    return await request();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return request();
  }
}
async function tokenFor(audience) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const target = new URL(as.authorization_endpoint);
  for (const [name, value] of Object.entries({
    client_id: clientId, redirect_uri: redirectUri, response_type: "code", scope: "openid profile", state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
    ...(audience ? { resource: audience } : {}),
  })) target.searchParams.set(name, value);
  const callback = oauth.validateAuthResponse(as, client, new URL(await ask(target.href)), state);
  const tokens = await proved(async () => oauth.processAuthorizationCodeResponse(as, client,
    await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), callback, redirectUri, verifier, { ...http, DPoP })));
  return tokens.access_token;
}
const call = (token, handle) => proved(async () => {
  const answer = await oauth.protectedResourceRequest(token, "GET", new URL(resource), undefined, undefined, { ...http, DPoP: handle });
  return answer.status;
});
/** Call it with another key, or none; return the challenge. */
async function refusal(attempt) {
  try {
    await attempt();
  } catch (error) {
    return { status: error.status, scheme: error.cause?.[0]?.scheme, error: error.cause?.[0]?.parameters.error };
  }
  throw new Error("this should have failed");
}

const token = await tokenFor();
const status = await call(token, DPoP);
const stolen = [await refusal(() => call(token, thief)), await refusal(() => call(token, undefined))];
const userinfo = await proved(async () => oauth.processUserInfoResponse(as, client, oauth.skipSubjectCheck,
  await oauth.userInfoRequest(as, client, token, { ...http, DPoP })));

// A foreign resource server: what the client would send is checked by the library, and not by us.
const foreign = "https://notes.example/api";
const theirs = await tokenFor(foreign);
async function requestWith(handle) {
  let sent;
  const options = { DPoP: handle, [oauth.customFetch]: async (address, init) => { sent = new Request(address, init); return new Response(); } };
  await oauth.protectedResourceRequest(theirs, "GET", new URL(foreign), undefined, undefined, options);
  return sent;
}
const validate = async (handle) => oauth.validateJwtAccessToken(as, await requestWith(handle), foreign, http);
const claims = await validate(DPoP);
const refused = [];
for (const handle of [thief, undefined]) {
  try {
    await validate(handle);
  } catch (error) {
    refused.push(error.name);
  }
}
say({ status, stolen, name: Boolean(userinfo.sub), claims, thumbprint: await DPoP.calculateThumbprint(), refused });
