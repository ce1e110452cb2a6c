// openid-client as a tool server that exchanges the person's token (RFC 8693), with a key of its own or without.
import * as client from "openid-client";
import { say } from "./talk.mjs";

const [issuer, clientId, secret, subjectToken, audience, binds] = process.argv.slice(2);
const config = await client.discovery(new URL(issuer), clientId, secret, undefined, {
  execute: [client.allowInsecureRequests],
});
const options = {};
if (binds === "yes") options.DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair());
const tokens = await client.genericGrantRequest(config, "urn:ietf:params:oauth:grant-type:token-exchange", {
  subject_token: subjectToken, subject_token_type: "urn:ietf:params:oauth:token-type:access_token", audience,
}, options);
say(tokens);
