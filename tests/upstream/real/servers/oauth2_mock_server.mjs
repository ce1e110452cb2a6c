// oauth2-mock-server, which signs in whoever was named last. Who they are is said by the events that it has for that.
import { OAuth2Issuer, OAuth2Service } from "oauth2-mock-server";

import { serve } from "./process.mjs";

// Code or refresh token → who it is of.
const subjects = new Map();

await serve(async ({ issuer: url, key, people }) => {
  const issuer = new OAuth2Issuer();
  issuer.url = url;
  await issuer.keys.add(key);
  const service = new OAuth2Service(issuer);
  service.on("beforeAuthorizeRedirect", (redirect) => {
    subjects.set(redirect.url.searchParams.get("code"), [...people.keys()].at(-1));
  });
  const subject = (request) => subjects.get(request.body.code ?? request.body.refresh_token);
  service.on("beforeTokenSigning", (token, request) => {
    Object.assign(token.payload, people.get(subject(request)), { sub: subject(request) });
  });
  service.on("beforeResponse", (response, request) => {
    subjects.set(response.body.refresh_token, subject(request));
  });
  return service.requestHandler;
});
