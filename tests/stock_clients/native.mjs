// A command-line client, as RFC 8252 describes one: it listens on loopback at whatever port is free, and its redirect
// URI was registered without any. What it was registered as it keeps between runs; two of them use it at once.
import { createServer } from "node:http";
import { once } from "node:events";
import * as client from "openid-client";
import { ask, say } from "./talk.mjs";

const [issuer, host] = process.argv.slice(2);
const options = { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] };
const registered = await client.dynamicClientRegistration(new URL(issuer), {
  redirect_uris: [`http://${host}/callback`], client_name: "Command line", application_type: "native",
  token_endpoint_auth_method: "none", grant_types: ["authorization_code", "refresh_token"],
}, client.None(), options);
const clientId = registered.clientMetadata().client_id;

/** One run: what the person sees at the end is ours, and the answer came over HTTP. */
async function run() {
  const config = await client.discovery(new URL(issuer), clientId, undefined, client.None(), options);
  const server = createServer().listen(0, host.replace(/[[\]]/g, ""));
  await once(server, "listening");
  const redirectUri = `http://${host}:${server.address().port}/callback`;
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expectedState = client.randomState();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri, scope: "openid email", state: expectedState, code_challenge_method: "S256",
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  });
  const arrival = once(server, "request");
  const finished = ask(url.href);
  const [request, response] = await arrival;
  response.end("You may close this window.");
  await finished;
  server.close();
  server.closeAllConnections();
  return client.authorizationCodeGrant(config, new URL(request.url, redirectUri), { pkceCodeVerifier, expectedState });
}

const first = await run();
const second = await run();
say({
  clientId, subjects: [first.claims().sub, second.claims().sub], sessions: [first.claims().sid, second.claims().sid],
  scope: first.scope,
});
