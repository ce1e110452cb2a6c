// A single-page application of another origin, on oidc-client-ts. It knows the issuer's URL and nothing else.
const here = location.origin;
const issuer = sessionStorage.getItem("issuer");
const registration = () => JSON.parse(sessionStorage.getItem("registration"));

/** What a script of this origin gets to see of an answer: with no CORS headers, nothing. */
async function seen(url, options) {
  try {
    const response = await fetch(url, options);
    return { status: response.status, body: await response.text(), challenge: response.headers.get("WWW-Authenticate") };
  } catch (error) {
    return { blocked: String(error) };
  }
}

const metadata = async () => (await fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`)).json();

const post = (url, form, headers = {}) => seen(url, {
  method: "POST", body: new URLSearchParams(form), headers,
});

const json = (url, document, headers = {}) => seen(url, {
  method: "POST", body: JSON.stringify(document), headers: { "Content-Type": "application/json", ...headers },
});

function manager(more = {}) {
  return new oidc.UserManager({
    authority: issuer, client_id: registration().client_id, redirect_uri: `${here}/callback`,
    silent_redirect_uri: `${here}/silent`, response_type: "code", scope: "openid profile email offline_access",
    loadUserInfo: true, filterProtocolClaims: false, automaticSilentRenew: false, silentRequestTimeoutInSeconds: 10,
    userStore: new oidc.WebStorageStateStore({ store: sessionStorage }), stateStore: new oidc.WebStorageStateStore({ store: localStorage }),
    revokeTokenTypes: ["access_token", "refresh_token"], ...more,
  });
}

const app = {
  seen, post, json, metadata,

  async register() {
    const answer = await json((await metadata()).registration_endpoint, {
      redirect_uris: [`${here}/callback`, `${here}/silent`], client_name: "Single page", token_endpoint_auth_method: "none",
      application_type: "web", grant_types: ["authorization_code", "refresh_token"],
      scope: "openid profile email offline_access",
    });
    sessionStorage.setItem("registration", answer.body);
    return answer.status;
  },

  /** The address to sign in at; the page goes there by itself, as signinRedirect() would make it. */
  signIn: () => manager().signinRedirect({ max_age: 3600 }),

  async finish() {
    const user = await manager().signinRedirectCallback();
    return { profile: user.profile, scope: user.scope, refreshable: Boolean(user.refresh_token) };
  },

  async failure(attempt) {
    try {
      return { unexpected: await attempt() };
    } catch (error) {
      return { name: error.name, error: error.error, description: error.error_description, message: error.message };
    }
  },

  /** prompt=none in a hidden frame: no refresh token is used. */
  silent() {
    return app.failure(async () => {
      const one = manager({ userStore: new oidc.WebStorageStateStore({ store: new oidc.InMemoryWebStorage() }) });
      const user = await one.signinSilent();
      return { subject: user.profile.sub };
    });
  },

  async renew() {
    const before = await manager().getUser();
    const after = await manager().signinSilent();
    return { changed: before.access_token !== after.access_token, subject: after.profile.sub === before.profile.sub };
  },

  async userinfo() {
    const user = await manager().getUser();
    return seen((await metadata()).userinfo_endpoint, { headers: { Authorization: `Bearer ${user.access_token}` } });
  },

  async revoke() {
    const user = await manager().getUser();
    await manager().revokeTokens();
    return seen((await metadata()).userinfo_endpoint, { headers: { Authorization: `Bearer ${user.access_token}` } });
  },

  refusedCallback: () => app.failure(() => manager().signinRedirectCallback()),
};
