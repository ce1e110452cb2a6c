// oidc-provider with its own pages for development: they take any login, and ask for consent.
import { Provider } from "oidc-provider";

import { serve } from "./process.mjs";

const [clientId, clientSecret, redirectUri, signedOutUri, conformIdTokenClaims] = process.argv.slice(2);

await serve(({ issuer, key, people }) => {
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [redirectUri],
        post_logout_redirect_uris: [signedOutUri],
        grant_types: ["authorization_code", "refresh_token"],
        backchannel_logout_uri: `${issuer}/told`,
        backchannel_logout_session_required: true,
      },
    ],
    claims: { email: ["email", "email_verified"], profile: ["name"] },
    conformIdTokenClaims: conformIdTokenClaims === "true",
    cookies: { keys: ["a key of the cookies"] },
    features: { backchannelLogout: { enabled: true }, revocation: { enabled: true } },
    // Its own dispatcher connects to no address of this machine, where its client is.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    rotateRefreshToken: true,
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...people.get(sub) }) }),
  });
  provider.on("backchannel.error", (ctx, error) => console.error(error));
  return provider.callback();
});
