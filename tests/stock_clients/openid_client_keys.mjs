// openid-client as an operator entered it, with a key: code, refresh, its own token, introspection, revocation.
import * as client from "openid-client";
import { ask, failure, say, signingKey } from "./talk.mjs";

const [issuer, clientId, redirectUri, algorithm, jwkText] = process.argv.slice(2);
const jwk = JSON.parse(jwkText);
const key = await signingKey(jwk, algorithm);
const authentication = client.PrivateKeyJwt({ key, kid: jwk.kid });
const config = await client.discovery(new URL(issuer), clientId, undefined, authentication, {
  execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
});
const supported = config.serverMetadata().token_endpoint_auth_signing_alg_values_supported.includes(algorithm);
const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const url = client.buildAuthorizationUrl(config, {
  redirect_uri: redirectUri, scope: "openid email", state: expectedState, code_challenge_method: "S256",
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
});
const answer = new URL(await ask(url.href));
const tokens = await client.authorizationCodeGrant(config, answer, { pkceCodeVerifier, expectedState });
const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
const described = await client.tokenIntrospection(config, renewed.access_token);
const own = await client.clientCredentialsGrant(config, { scope: "profile" });
await client.tokenRevocation(config, renewed.access_token);
const after = await client.tokenIntrospection(config, renewed.access_token);
const public_ = await client.discovery(new URL(issuer), clientId, undefined, client.None(), {
  execute: [client.allowInsecureRequests],
});
const downgraded = await failure(() => client.refreshTokenGrant(public_, tokens.refresh_token));
say({
  supported, renewed: renewed.access_token !== tokens.access_token, active: described.active, scope: own.scope,
  after: after.active, downgraded,
});
