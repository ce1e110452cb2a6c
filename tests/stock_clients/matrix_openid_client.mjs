// openid-client in one row of the matrix: each way of asking in turn, as the client that it is told to be.
import * as client from "openid-client";
import { ask, say, signingKey } from "./talk.mjs";

const told = JSON.parse(process.argv[2]);
const key = told.jwk && (await signingKey(told.jwk, told.algorithm));
const authentication = {
  secret: (secret) => client.ClientSecretBasic(secret),
  key: () => client.PrivateKeyJwt({ key, kid: told.jwk.kid }),
  public: () => client.None(),
}[told.method];
const options = { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] };
const config = told.kind === "registration"
  ? await client.dynamicClientRegistration(new URL(told.issuer), told.members,
      told.method === "secret" ? undefined : authentication(), options)
  : await client.discovery(new URL(told.issuer), told.clientId, told.secret, authentication(told.secret), options);

async function run(way) {
  const DPoP = way.includes("DPoP") ? client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256")) : undefined;
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expectedState = client.randomState();
  const parameters = {
    redirect_uri: told.redirectUri, scope: "openid email", state: expectedState, code_challenge_method: "S256",
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  };
  const url = way.includes("PAR")
    ? await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP })
    : client.buildAuthorizationUrl(config, parameters);
  const answer = new URL(await ask(url.href));
  const tokens = await client.authorizationCodeGrant(config, answer, { pkceCodeVerifier, expectedState }, undefined, { DPoP });
  const renewed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
  const called = await client.fetchProtectedResource(
    config, renewed.access_token, new URL(told.api), "GET", undefined, undefined, { DPoP });
  return { types: [tokens.token_type, renewed.token_type].map((type) => type.toLowerCase()), called: called.status };
}
const said = {};
for (const way of told.ways) said[way] = await run(way);
say(said);
