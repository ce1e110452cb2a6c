// How openid-client and oauth4webapi send a secret that form-encoding changes (RFC 6749 §2.3.1).
import * as oauth from "oauth4webapi";
import * as client from "openid-client";
import { failure, say } from "./talk.mjs";

const [issuer, clientId, secret] = process.argv.slice(2);
const options = { execute: [client.allowInsecureRequests] };
const results = {};
for (const [name, make] of Object.entries({ basic: client.ClientSecretBasic, post: client.ClientSecretPost })) {
  const config = await client.discovery(new URL(issuer), clientId, secret, make(secret), options);
  results[name] = await client.tokenIntrospection(config, "of nobody");
  const wrong = await client.discovery(new URL(issuer), clientId, secret, make(`${secret}!`), options);
  results[`${name}, wrong`] = await failure(() => client.tokenIntrospection(wrong, "of nobody"));
}
const as = (await client.discovery(new URL(issuer), clientId, secret, undefined, options)).serverMetadata();
const low = { client_id: clientId };
results.low = await oauth.processIntrospectionResponse(as, low, await oauth.introspectionRequest(
  as, low, oauth.ClientSecretBasic(secret), "of nobody", { [oauth.allowInsecureRequests]: true }));
say(results);
