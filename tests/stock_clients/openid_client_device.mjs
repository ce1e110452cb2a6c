// openid-client on a device without a browser (RFC 8628), with a key of its own or without.
import * as client from "openid-client";
import { ask, say } from "./talk.mjs";

const [issuer, clientId, binds, decision] = process.argv.slice(2);
const config = await client.discovery(new URL(issuer), clientId, undefined, client.None(), {
  execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
});
const options = {};
if (binds === "yes") options.DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair());
const asked = await client.initiateDeviceAuthorization(config, { scope: "openid email" });
// It waits as long as it was told, which is what this server wants of it.
const polling = client.pollDeviceAuthorizationGrant(config, asked, undefined, options).then(
  (tokens) => ({ tokens }), (error) => ({ error: error.error ?? error.cause?.error ?? error.code }),
);
await ask({ page: asked.verification_uri, complete: asked.verification_uri_complete, code: asked.user_code, decision });
const { tokens, error } = await polling;
if (error) say({ error });
const renewed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, options);
const person = await client.fetchUserInfo(config, renewed.access_token, tokens.claims().sub, options);
say({ type: tokens.token_type, renewed: renewed.access_token !== tokens.access_token, email: person.email });
