// PrivateKeyJwtProvider of @modelcontextprotocol/client: a client that acts for itself, with a key.
import { auth, PrivateKeyJwtProvider } from "@modelcontextprotocol/client";
import { say } from "./talk.mjs";

const [serverUrl, clientId, algorithm, jwkText, issuer] = process.argv.slice(2);
const provider = new PrivateKeyJwtProvider({
  clientId, privateKey: JSON.parse(jwkText), algorithm, scope: "profile", expectedIssuer: issuer,
});
const step = await auth(provider, { serverUrl });
const tokens = await provider.tokens();
say({ step, scope: tokens.scope, type: tokens.token_type });
