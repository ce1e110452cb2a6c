"""Each preset as it is shipped, with its endpoints at a scripted server: through our pages to the vault, and a refresh.

The server answers as the real one does, in what it takes and in what it says of the sample person. Nobody signs in at
the real one.
"""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from django_lazyauth.errors import RefreshExpired
from django_lazyauth.models import ProviderIdentity
from django_lazyauth.openid.presets import PRESETS
from tests.openid.preset_samples import SAMPLES
from tests.openid.test_presets import WITHOUT_ISSUER
from tests.support.journey import make_browser, query_of, start

from .conftest import go_upstream, held, renewed, sign_in_upstream
from .test_quirks import come_in, post_back

pytestmark = pytest.mark.django_db(transaction=True)

METADATA = "/.well-known/openid-configuration"
NAMES_ISSUER = "authorization_response_iss_parameter_supported"
#: What the real ones take and answer otherwise than the RFCs say. See ``DEFAULTS`` of the provider process.
SCRIPTS = {
    "bitbucket": {"knows_by": ["basic"]},
    "box": {"knows_by": ["post"]},
    "dropbox": {"user_method": "POST"},
    "facebook": {"omit_refresh_token": True},
    "figma": {"knows_by": ["basic"], "keep_refresh_token": True},
    "github": {"knows_by": ["post"], "one_access_token": True, "refuses": ["nonce"]},
    "google": {
        "claims": {"iss": "accounts.google.com", "azp": "lazyauth-at-acme"},
        "keep_refresh_token": True,
    },
    "hubspot": {"user_method": "POST", "token_at": "form:token"},
    "line": {"algorithm": "HS256", "knows_by": ["post"], "keep_refresh_token": True},
    "linear": {"user_method": "POST"},
    "linkedin": {
        "claims": {"iss": "https://www.linkedin.com"},
        "knows_by": ["post"],
        "refuses": ["code_verifier", "code_challenge", "nonce"],
    },
    "notion": {"knows_by": ["basic"], "token": SAMPLES["notion"].person},
    "reddit": {"knows_by": ["basic"], "keep_refresh_token": True},
    "salesforce": {"keep_refresh_token": True},
    "slack": {"token": {"ok": True}},
    "spotify": {"knows_by": ["basic"], "keep_refresh_token": True},
    "strava": {"knows_by": ["post"]},
    "tiktok": {
        "client_names": ["client_key", "client_secret"],
        "refuses": ["client_id"],
        "token": {"scope": "user.info.basic,user.info.email"},
    },
    "twitch": {"knows_by": ["post"], "token": {"scope": ["openid", "user:read:email"]}},
    "vk": {
        "callback": {"device_id": "device-1", "iss": None},
        "demands": ["code_verifier", "device_id"],
        "token_at": "form:access_token",
        "user_method": "POST",
    },
    "wechat": {
        "client_names": ["appid", "secret"],
        "refuses": ["code_verifier", "code_challenge", "client_id"],
        "token": {"token_type": None, "openid": "o6_bmjrPTlm6", "unionid": "o6_bmasdasdsad6"},
        "token_at": "query:access_token",
    },
    "x": {"knows_by": ["basic"], "demands": ["code_verifier"]},
    "yandex": {"token_at": "header:OAuth"},
}
#: The others differ in what they say of a person only.
PLAIN = sorted(set(PRESETS) - set(SCRIPTS) - {"apple", "microsoft"})
OFTEN_MISSING = ("auth_time", "amr", "email", "email_verified", "name")


def at(upstream, preset, **changes):
    """Return an entry of *preset* whose endpoints are those of the provider process."""
    shipped, base = PRESETS[preset].entry, upstream.issuer
    places = {
        "authorization_endpoint": "/authorize",
        "token_endpoint": "/token",
        "refresh_endpoint": "/token/refresh",
        "userinfo_endpoint": "/user",
        "emails_endpoint": "/user/emails",
        "openid_configuration": METADATA,
    }
    if shipped.get("type") != "oauth2":
        wanted = {"authorization_endpoint", "token_endpoint", "openid_configuration"} & {
            *shipped,
            "authorization_endpoint",
            "token_endpoint",
        }
        own = {name: base + places[name] for name in wanted} | {"jwks_uri": f"{base}/jwks"}
    else:
        own = {name: base + place for name, place in places.items() if name in shipped}
    if preset in WITHOUT_ISSUER:
        own["issuer"] = "https://corp.example"
    credentials = {"client_id": upstream.client_id, "client_secret": upstream.client_secret}
    return {"preset": preset, **credentials, **own, **changes}


def levers_of(preset):
    """Return how the server speaks of the sample person, with what *preset* has otherwise."""
    shipped, sample, script = PRESETS[preset].entry, SAMPLES[preset], SCRIPTS.get(preset, {})
    levers = {"callback": {"iss": None}, **script}
    if shipped.get("type") == "oauth2":
        return {"user": sample.person, "emails": sample.addresses or [], **levers}
    issuer = shipped.get("issuer", "https://corp.example")
    absent = dict.fromkeys(OFTEN_MISSING)
    claims = {"iss": issuer, **absent, **sample.person, **script.get("claims", {})}
    return {**levers, "metadata": {"issuer": issuer, NAMES_ISSUER: None}, "claims": claims}


@pytest.fixture
def sign_in(upstream, client_, settings):
    """Sign in with a preset, and return the bundle of the vault."""

    def go(preset, entry=None, **levers):
        settings.LAZYAUTH["PROVIDERS"]["acme"] = entry or at(upstream, preset)
        upstream.control(**levers_of(preset) | levers)
        sign_in_upstream(upstream, client_)
        return held()

    return go


def opens(upstream, access_token):
    """Say whether the server knows *access_token*."""
    upstream.control(token_at="query:t", user_method="GET")
    return upstream._request("GET", f"/user?t={access_token}")[0] == 200


@pytest.mark.parametrize("preset", [*SCRIPTS, *PLAIN])
def test_a_person_signs_in_with_the_preset_and_tokens_are_renewed(upstream, sign_in, preset):
    sample, first = SAMPLES[preset], sign_in(preset)
    person = ProviderIdentity.objects.get()
    found = (person.subject, person.email, person.email_verified, person.name)
    assert found == (sample.subject, sample.email, sample.verified, sample.name)
    assert (first.subject, first.access_token[:3]) == (sample.subject, "at-")
    if first.refresh_token:
        second = renewed()
        assert second.access_token != first.access_token
        assert opens(upstream, second.access_token)


def test_linkedin_gets_neither_pkce_nor_a_nonce_and_has_two_names(upstream, sign_in):
    bundle = sign_in("linkedin")
    asked, redeemed = upstream.requests("/authorize")[0]["query"], upstream.requests("/token")[0]["form"]
    assert not {"nonce", "code_challenge", "code_challenge_method"} & set(asked)
    assert "code_verifier" not in redeemed
    assert ProviderIdentity.objects.get().issuer == "https://www.linkedin.com/oauth"
    assert bundle.id_token


def test_linkedin_of_a_third_name_signs_nobody_in(upstream, client_, settings):
    settings.LAZYAUTH["PROVIDERS"]["acme"] = at(upstream, "linkedin")
    levers = levers_of("linkedin")
    upstream.control(**levers | {"claims": levers["claims"] | {"iss": "https://linkedin.com"}})
    browser = make_browser()
    page = go_upstream(upstream, browser, start(browser, client_, provider="acme"))
    assert "could not be verified" in page.content.decode()


@pytest.mark.parametrize("preset", ["slack", "twitch", "wechat", "github"])
def test_an_answer_of_200_that_says_that_it_failed_signs_nobody_in(upstream, client_, settings, preset):
    body = {
        "slack": {"ok": False, "error": "invalid_code"},
        "twitch": {"status": 400, "message": "Invalid authorization code"},
        "wechat": {"errcode": 40029, "errmsg": "invalid code"},
        "github": {"error": "bad_verification_code", "error_description": "expired"},
    }[preset]
    settings.LAZYAUTH["PROVIDERS"]["acme"] = at(upstream, preset)
    upstream.control(**levers_of(preset), token_answers=[{"status": 200, "body": body}])
    browser = make_browser()
    page = go_upstream(upstream, browser, start(browser, client_, provider="acme"))
    assert "could not be verified" in page.content.decode()
    assert not ProviderIdentity.objects.exists()


@pytest.mark.parametrize(
    ("preset", "answer"),
    [
        ("github", {"status": 200, "body": {"error": "bad_refresh_token"}}),
        ("slack", {"status": 200, "body": {"ok": False, "error": "invalid_grant"}}),
        ("twitch", {"status": 400, "body": {"status": 400, "message": "Invalid refresh token"}}),
        ("wechat", {"status": 200, "body": {"errcode": 42002, "errmsg": "refresh_token expired"}}),
    ],
)
def test_a_dead_refresh_token_is_known_by_the_word_of_its_provider(upstream, sign_in, preset, answer):
    sign_in(preset)
    upstream.control(token_answers=[answer])
    with pytest.raises(RefreshExpired):
        renewed()


def test_twitch_is_asked_for_each_claim_by_its_name(upstream, sign_in):
    bundle = sign_in("twitch")
    asked = json.loads(upstream.requests("/authorize")[0]["query"]["claims"])
    assert set(asked["id_token"]) >= {"email", "email_verified", "preferred_username"}
    assert bundle.scope == "openid user:read:email"


def test_dropbox_is_sent_a_post_without_body_and_type(upstream, sign_in):
    sign_in("dropbox")
    asked = upstream.requests("/user")[0]
    assert (asked["method"], asked["headers"]["content-length"]) == ("POST", "0")
    assert "content-type" not in asked["headers"]


def test_tiktok_is_sent_a_client_key_and_commas(upstream, sign_in):
    bundle = sign_in("tiktok", at(upstream, "tiktok", scopes=["user.info.basic", "user.info.email"]))
    asked = upstream.requests("/authorize")[0]["query"]
    assert (asked["client_key"], asked["scope"]) == (upstream.client_id, "user.info.basic,user.info.email")
    assert bundle.scope == "user.info.basic user.info.email"


def test_linear_is_asked_by_graphql(upstream, sign_in):
    sign_in("linear")
    asked = upstream.requests("/user")[0]
    assert asked["form"] == {"query": "{ viewer { id name email } }"}
    assert asked["headers"]["content-type"] == "application/json"


def test_githubs_old_access_token_dies_with_a_refresh_and_the_new_one_is_handed_out(upstream, sign_in):
    first = sign_in("github")
    second = renewed()
    assert (opens(upstream, first.access_token), opens(upstream, second.access_token)) == (False, True)


def test_what_github_calls_primary_and_verified_is_the_address(upstream, sign_in):
    unverified = [
        {"email": "first@corp.example", "primary": True, "verified": False},
        {"email": "second@corp.example", "primary": False, "verified": True},
    ]
    sign_in("github", emails=unverified)
    person = ProviderIdentity.objects.get()
    assert (person.email, person.email_verified) == ("second@corp.example", True)


def test_googles_token_for_an_app_of_ours_signs_nobody_in_here(upstream, client_, settings):
    """OpenID Connect Core §3.1.3.7: ``azp`` names who it was issued to. Apps hand theirs over."""
    settings.LAZYAUTH["PROVIDERS"]["acme"] = at(upstream, "google")
    levers = levers_of("google")
    upstream.control(**levers | {"claims": levers["claims"] | {"azp": "app.googleusercontent.com"}})
    browser = make_browser()
    page = go_upstream(upstream, browser, start(browser, client_, provider="acme"))
    assert "could not be verified" in page.content.decode()
    settings.LAZYAUTH["PROVIDERS"]["acme"] |= {"authorized_parties": ["app.googleusercontent.com"]}
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().issuer == "https://accounts.google.com"


def test_microsofts_tenant_is_a_part_of_its_people(upstream, sign_in):
    sample, template = SAMPLES["microsoft"], PRESETS["microsoft"].entry["issuer"]
    claims = {**levers_of("microsoft")["claims"], "iss": template.replace("{tid}", "9122040d")}
    # Its metadata have another name for the claim.
    metadata = {"issuer": template.replace("{tid}", "{tenantid}"), NAMES_ISSUER: None}
    bundle = sign_in("microsoft", claims=claims, metadata=metadata)
    assert bundle.subject == f"9122040d:{sample.subject}"
    assert ProviderIdentity.objects.get().email_verified is False
    assert renewed().access_token != bundle.access_token


def test_apple_posts_the_name_and_takes_a_secret_that_is_signed_here(upstream, client_, settings):
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = {"key": private.decode(), "key_id": "K1", "issuer": "TEAM123", "audience": upstream.issuer}
    entry = at(upstream, "apple", client_secret=None, signed_secret=signed)
    settings.LAZYAUTH["PROVIDERS"]["acme"] = entry
    user = json.dumps({"name": {"firstName": "Ann", "lastName": "Lee"}, "email": "unsigned@corp.example"})
    upstream.control(
        **levers_of("apple") | {"callback": {"iss": None, "user": user}}, secret_key=public.decode()
    )
    browser = make_browser()
    left = start(browser, client_, provider="acme").headers["Location"]
    assert query_of(left)["response_mode"] == "form_post"
    answer = post_back(*upstream.authorize_by_post(left))
    assert come_in(client_, browser, answer.headers["Location"]).status_code == 200
    person = ProviderIdentity.objects.get()
    assert (person.subject, person.name, person.email) == ("001.ab.1234", "Ann Lee", SAMPLES["apple"].email)
    assert person.email_verified is True
    assert renewed().access_token.startswith("at-")


def test_a_person_who_cancels_at_linkedin_raises_no_alarm(upstream, client_, settings, caplog):
    settings.LAZYAUTH["PROVIDERS"]["acme"] = at(upstream, "linkedin")
    for word in ("user_cancelled_login", "user_cancelled_authorize"):
        upstream.control(**levers_of("linkedin"), authorize_error=word)
        browser = make_browser()
        page = go_upstream(upstream, browser, start(browser, client_, provider="acme"))
        assert "You did not sign in with" in page.content.decode()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_wechats_people_are_moved_when_the_app_joins_the_open_platform(upstream, sign_in, client_):
    alone = {"openid": "o6_bmjrPTlm6", "unionid": None, "nickname": "Ann Lee"}
    token = {"token_type": None, "openid": "o6_bmjrPTlm6"}
    assert sign_in("wechat", user=alone, token=token).subject == "o6_bmjrPTlm6"
    owner = ProviderIdentity.objects.get().user
    upstream.control(**levers_of("wechat"))
    sign_in_upstream(upstream, client_)
    person = ProviderIdentity.objects.get()
    assert (person.subject, person.user) == ("o6_bmasdasdsad6", owner)
