// oidc-provider with its own pages for development: they take any login, and ask for consent.
import { Provider } from "oidc-provider";

import { serve } from "./process.mjs";

const [clientId, clientSecret, redirectUri, signedOutUri, conformIdTokenClaims] = process.argv.slice(2);

await serve(({ issuer, key, people }) =>
  new Provider(issuer, {
    jwks: { keys: [key] },
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [redirectUri],
        post_logout_redirect_uris: [signedOutUri],
        grant_types: ["authorization_code", "refresh_token"],
      },
    ],
    claims: { email: ["email", "email_verified"], profile: ["name"] },
    conformIdTokenClaims: conformIdTokenClaims === "true",
    cookies: { keys: ["a key of the cookies"] },
    rotateRefreshToken: true,
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...people.get(sub) }) }),
  }).callback(),
);
