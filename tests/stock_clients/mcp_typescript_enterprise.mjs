// @modelcontextprotocol/client in enterprise-managed authorization: it brings an organisation's word, and asks one for it.
import { auth, CrossAppAccessProvider, requestJwtAuthorizationGrant } from "@modelcontextprotocol/client";
import { ask, say } from "./talk.mjs";

const [serverUrl, clientId, clientSecret, issuer, asIdp] = process.argv.slice(2);
const provider = new CrossAppAccessProvider({
  clientId, clientSecret, expectedIssuer: issuer,
  assertion: ({ authorizationServerUrl, resourceUrl }) =>
    ask("assertion", { audience: authorizationServerUrl, resource: resourceUrl }),
});
const step = await auth(provider, { serverUrl });
const tokens = await provider.tokens();
const called = await fetch(serverUrl, { headers: { Authorization: `Bearer ${tokens.access_token}` } });
// The other way round: this site is the organisation.
const grant = await requestJwtAuthorizationGrant(JSON.parse(asIdp));
say({ step, scope: tokens.scope, refresh: tokens.refresh_token ?? "", status: called.status, grant });
