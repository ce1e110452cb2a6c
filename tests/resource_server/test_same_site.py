"""Spec 6, on the issuer's own site: its keys are in the settings, its people and revocations in the database."""

from __future__ import annotations

import json
from datetime import timedelta

import jwt
import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.urls import include, path
from django.utils import timezone
from oauth2_provider.models import AccessToken as AccessTokenRow
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from django_lazyauth.api.authentication import LazyAuthAuthentication
from django_lazyauth.models import ClientRegistration, ClientSource
from django_lazyauth.resource_server.authentication import AccessTokenAuthentication
from django_lazyauth.resource_server.permissions import RequireScope, TokenHasAudience, TokenHasScope
from django_lazyauth.resource_server.verifier import ResourceServer
from django_lazyauth.tokens import keys
from tests.clients.conftest import PUBLIC
from tests.support.id_tokens import OTHER_KEY
from tests.support.journey import ISSUER, get, make_browser, post_form
from tests.support.outages import database_gone
from tests.tokens.conftest import decoded, machine_token, sign_in
from tests.tokens.test_signing_keys import public_half

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def describe(request):
    return Response(
        {
            "sub": str(request.user.pk),
            "scopes": sorted(request.auth.scopes),
            "client_id": request.auth.client_id,
            "tsid": str(request.auth.tsid),
            "jti": request.auth.claims["jti"],
        }
    )


class Offline(APIView):
    authentication_classes = [AccessTokenAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return describe(request)


class WhoAmI(Offline):
    def get(self, request):
        return Response(
            {"username": request.user.username, "is_user": isinstance(request.user, get_user_model())}
        )


class Machines(Offline):
    permission_classes = [AllowAny]

    def get(self, request):
        return Response({"sub": request.auth.subject, "anonymous": request.user.is_anonymous})


class CheckedAuthentication(AccessTokenAuthentication):
    revocation_check = True


class Checked(Offline):
    authentication_classes = [CheckedAuthentication]


class Scoped(Offline):
    permission_classes = [TokenHasScope]
    required_scopes = ["openid", "email"]


class InPlace(Offline):
    authentication_classes = [AccessTokenAuthentication, SessionAuthentication]
    permission_classes = [RequireScope("email")]


class DatabaseScoped(Offline):
    authentication_classes = [LazyAuthAuthentication]
    permission_classes = [RequireScope("email")]

    def get(self, request):
        return Response({"sub": str(request.user.pk)})


class Admin(Offline):
    permission_classes = [TokenHasAudience]
    required_audience = f"{ISSUER}/admin"


class ToolsAuthentication(AccessTokenAuthentication):
    audience = "https://tools.example"


class Tools(Offline):
    authentication_classes = [ToolsAuthentication]


class PartnerAuthentication(AccessTokenAuthentication):
    issuer = "https://partner.example"


class Partner(Offline):
    authentication_classes = [PartnerAuthentication]


urlpatterns = [
    path("offline", Offline.as_view()),
    path("offline/below", Offline.as_view()),
    path("who", WhoAmI.as_view()),
    path("machines", Machines.as_view()),
    path("checked", Checked.as_view()),
    path("scoped", Scoped.as_view()),
    path("in-place", InPlace.as_view()),
    path("database-scoped", DatabaseScoped.as_view()),
    path("admin-api", Admin.as_view()),
    path("tools", Tools.as_view()),
    path("partner", Partner.as_view()),
    path("", include("django_lazyauth.urls")),
]

BOTH = pytest.mark.parametrize("url", ["/offline", "/checked"])


def call(url, token=None, scheme="Bearer", **kwargs):
    headers = {"authorization": f"{scheme} {token}"} if token is not None else {}
    return get(make_browser(), url, headers=headers, **kwargs)


def forged(token, *, typ="at+jwt", algorithm="", **changes):
    """Return a token that this site signed, with other claims; ``...`` removes one."""
    claims = {name: value for name, value in (decoded(token)[1] | changes).items() if value is not ...}
    return keys.sign(claims, key=keys.key_for(algorithm), typ=typ)


def refuses(url, token):
    answer = call(url, token)
    assert answer.status_code == 401, answer.content
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    return True


# -- who calls ---------------------------------------------------------------------------------------------


@BOTH
def test_a_view_learns_whom_the_token_stands_for(client_, url):
    """Spec 6: claims, scopes, tsid, client_id."""
    token = sign_in(client_)["access_token"]
    _, claims = decoded(token)
    answer = call(url, token)
    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "sub": claims["sub"],
        "scopes": sorted(claims["scope"].split()),
        "client_id": claims["client_id"],
        "tsid": claims["tsid"],
        "jti": claims["jti"],
    }


@pytest.mark.parametrize(("url", "queries"), [("/offline", 0), ("/checked", 1), ("/who", 1)])
def test_what_a_check_asks_of_the_database(client_, url, queries, django_assert_num_queries):
    """Spec 6: offline nothing, with the database check one query; loading the user is the view's own wish."""
    token = sign_in(client_)["access_token"]
    with django_assert_num_queries(queries):
        assert call(url, token).status_code == 200


def test_the_user_is_the_real_one_when_it_is_looked_at(client_):
    token = sign_in(client_)["access_token"]
    user = get_user_model().objects.get()
    assert call("/who", token).json() == {"username": user.username, "is_user": True}


@pytest.mark.parametrize("gone", ["inactive", "deleted"])
def test_somebody_who_is_gone_is_refused_when_looked_at_and_at_once_where_the_database_is_asked(
    client_, gone
):
    """I11; offline, an account that ended is known when the token is over."""
    token = sign_in(client_)["access_token"]
    users = get_user_model().objects.all()
    if gone == "inactive":
        users.update(is_active=False)
    else:
        users.delete()
    assert call("/offline", token).status_code == 200
    assert refuses("/who", token)
    assert refuses("/checked", token)


def test_a_client_that_acts_for_itself_is_nobody_signed_in(machine):
    """RFC 9068 §2.2: its subject is a client, never a row of the user table."""
    token = machine_token(machine).json()["access_token"]
    assert call("/machines", token).json() == {"sub": "machine", "anonymous": True}
    assert call("/offline", token).status_code == 403


def test_without_a_token_the_next_way_of_signing_in_is_asked(client):
    """RFC 6750 §3: and the challenge names no error."""
    answer = call("/offline")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="api"')
    assert "error" not in answer.headers["WWW-Authenticate"]
    client.force_login(get_user_model().objects.create_user("somebody"))
    assert client.get("/in-place").status_code == 403


def test_a_token_is_looked_for_in_the_header_only(client_):
    """RFC 9700 §4.3.2."""
    token = sign_in(client_)["access_token"]
    assert call(f"/offline?access_token={token}").status_code == 401
    form = post_form(make_browser(), "/offline", {"access_token": token})
    assert form.status_code == 401
    assert call("/offline", token, scheme="bearer").status_code == 200
    for scheme in ("Basic", "DPoP", "JWT", "Token", "Bearer,"):
        assert call("/offline", token, scheme=scheme).status_code == 401


# -- what is no access token -------------------------------------------------------------------------------


@pytest.fixture
def held(client_):
    """What a client of ours holds after a sign-in."""
    return sign_in(client_)


EVERYWHERE = pytest.mark.parametrize("url", ["/offline", "/checked", "/database-scoped", "/userinfo"])


def refused_as_bearer(url, token):
    answer = call(url, token)
    assert answer.status_code == 401, (url, answer.content)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@EVERYWHERE
def test_an_id_token_opens_nothing(held, url):
    """RFC 9700 §2.3; OpenID Connect Core §2: it is for the client."""
    refused_as_bearer(url, held["id_token"])
    claims = decoded(held["access_token"])[1]
    for typ in ("JWT", "jwt"):
        # Even with every claim of an access token.
        refused_as_bearer(url, keys.sign(claims, key=keys.key_for(), typ=typ))


@EVERYWHERE
def test_a_refresh_token_opens_nothing(held, url):
    refused_as_bearer(url, held["refresh_token"])


@EVERYWHERE
def test_a_registration_access_token_opens_nothing(url):
    """I17."""
    body = make_browser().post("/register/", PUBLIC, content_type="application/json", secure=True).json()
    refused_as_bearer(url, body["registration_access_token"])


@EVERYWHERE
def test_a_logout_token_opens_nothing(held, url):
    """OpenID Connect Back-Channel Logout §2.4: signed by the same key, for the same subject and session."""
    claims = {
        **decoded(held["access_token"])[1],
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }
    refused_as_bearer(url, keys.sign(claims, key=keys.key_for(), typ="logout+jwt"))


@EVERYWHERE
def test_another_issuers_token_opens_nothing(held, url):
    """RFC 9068 §4."""
    header, claims = decoded(held["access_token"])
    theirs = {"typ": "at+jwt", "kid": header["kid"]}
    for token in (
        jwt.encode(claims, OTHER_KEY, algorithm="RS256", headers=theirs),
        jwt.encode({**claims, "iss": "https://evil.test"}, OTHER_KEY, algorithm="RS256", headers=theirs),
        forged(held["access_token"], iss="https://evil.test"),
        jwt.encode(claims, OTHER_KEY, algorithm="RS256", headers={**theirs, "kid": "theirs"}),
        jwt.encode(claims, None, algorithm="none", headers=theirs),
    ):
        refused_as_bearer(url, token)


@BOTH
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example"},
        {"aud": f"{ISSUER}/elsewhere"},
        {"aud": f"{ISSUER}.evil.test"},
        {"aud": ...},
        {"aud": "public-client"},
        {"exp": 1},
        {"exp": ...},
        {"nbf": 9_000_000_000},
        {"iat": 9_000_000_000},
        {"sub": ...},
        {"client_id": ...},
        {"jti": ...},
        {"iat": ...},
    ],
    ids=str,
)
def test_a_token_of_ours_that_is_not_for_this_is_refused(held, url, changes):
    """RFC 9068 §4."""
    assert refuses(url, forged(held["access_token"], **changes))


@BOTH
@pytest.mark.parametrize(
    "token", ["", " ", "x", "a.b.c", "x" * 20_000, "\x00", "é.é.é", "a b", "..", "e30." * 3000, "[" * 9000]
)
def test_garbage_is_a_401(url, token):
    """I18."""
    assert call(url, token).status_code == 401


def test_two_headers_in_one_are_no_token(held):
    """RFC 9110 §5.3: servers join them with a comma."""
    token = held["access_token"]
    assert call("/offline", f"{token}, Bearer {token}").status_code == 401


def test_opaque_tokens_are_for_the_class_that_asks_the_database(client_, lazyauth):
    lazyauth(ACCESS_TOKEN_FORMAT="opaque")
    token = sign_in(client_)["access_token"]
    assert refuses("/offline", token)
    assert call("/database-scoped", token).status_code == 200


# -- whom it is for ----------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("resource", "is_for_us"),
    [
        (ISSUER, True),
        (f"{ISSUER}/", True),
        (f"{ISSUER}/offline", True),
        (f"{ISSUER}/off", False),
        ("https://tools.example", False),
        (f"{ISSUER}.evil.test", False),
    ],
)
def test_a_token_for_a_part_of_this_site_opens_that_part(client_, url, resource, is_for_us):
    """RFC 8707 §2: the same as where the database is asked."""
    resource = resource.replace("/offline", url)
    token = sign_in(client_, resources=(resource,))["access_token"]
    assert (call(url, token).status_code == 200) is is_for_us
    assert (call("/userinfo", token).status_code == 200) is (resource.rstrip("/") == ISSUER)


def test_a_view_may_name_its_own_audience(client_):
    """RFC 9068 §4: the site's default audience is another."""
    ours = sign_in(client_)["access_token"]
    theirs = sign_in(client_, resources=("https://tools.example/",))["access_token"]
    assert refuses("/tools", ours)
    assert call("/tools", theirs).status_code == 200
    assert refuses("/offline", theirs)


def test_a_part_of_a_site_may_want_tokens_of_its_own(client_, lazyauth):
    """RFC 6750 §3.1: a token for something else is invalid here."""
    lazyauth(RESOURCE_SERVER={"audience": [ISSUER, f"{ISSUER}/admin"]})
    assert refuses("/admin-api", sign_in(client_)["access_token"])
    assert call("/admin-api").status_code == 401
    admin = sign_in(client_, resources=(f"{ISSUER}/admin",))["access_token"]
    assert call("/admin-api", admin).status_code == 200


# -- what it allows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        ("/scoped", "openid email"),
        ("/in-place", "email"),
        ("/database-scoped", "email"),
    ],
)
def test_without_the_scope_the_answer_says_which(client_, url, scope):
    """RFC 6750 §3.1, RFC 9728 §5.1."""
    without = sign_in(client_, scope="openid profile")["access_token"]
    answer = call(url, without)
    assert answer.status_code == 403
    challenge = answer.headers["WWW-Authenticate"]
    # What no resource needs is for the developer to read, not for the client to ask for (test_challenge.py).
    assert answer.json() == {"error": "insufficient_scope", "scope": scope}
    assert 'error="insufficient_scope", resource_metadata=' in challenge
    # RFC 9728 §3.3: of the very URL that was asked.
    assert f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource{url}"' in challenge
    assert call(url, sign_in(client_)["access_token"]).status_code == 200


# -- the database -------------------------------------------------------------------------------------------


def test_a_revoked_token_is_refused_at_once_where_the_database_is_asked(client_, held):
    """I11; offline it lives until it expires, ten minutes."""
    form = {"token": held["access_token"], "client_id": client_.client_id}
    assert call("/checked", held["access_token"]).status_code == 200
    post_form(make_browser(), "/revoke_token", form)
    assert refuses("/checked", held["access_token"])
    assert call("/offline", held["access_token"]).status_code == 200


def test_the_setting_turns_the_question_on_for_every_view(client_, held, lazyauth):
    lazyauth(REVOCATION_CHECK=True)
    AccessTokenRow.objects.all().delete()
    assert refuses("/offline", held["access_token"])


def test_where_the_database_is_asked_a_disabled_client_is_out_of_use(application, held):
    assert call("/checked", held["access_token"]).status_code == 200
    noted = {"source": ClientSource.ELSEWHERE, "disabled_at": timezone.now()}
    ClientRegistration.objects.update_or_create(client=application, defaults=noted)
    assert refuses("/checked", held["access_token"])


def test_where_the_database_is_asked_expiry_counts_to_the_second(held):
    AccessTokenRow.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert refuses("/checked", held["access_token"])


# -- keys --------------------------------------------------------------------------------------------------


def test_tokens_signed_before_a_rotation_stay_good_until_they_expire(client_, lazyauth, pems, settings):
    """Spec 6: the key that signed them is published, with or without its private half."""
    lazyauth(SIGNING_KEYS=[pems["RS256"]])
    before = sign_in(client_)["access_token"]
    lazyauth(SIGNING_KEYS=[pems["ES256"], public_half(pems["RS256"])])
    after = sign_in(client_)["access_token"]
    assert [decoded(token)[0]["alg"] for token in (before, after)] == ["RS256", "ES256"]
    for token in (before, after):
        assert call("/offline", token).status_code == call("/checked", token).status_code == 200
    lazyauth(SIGNING_KEYS=[pems["ES256"]])
    assert refuses("/offline", before)


def test_no_key_is_parsed_and_no_set_is_read_per_request(client_, held, monkeypatch):
    """Architecture: parsing an RSA key costs more than a whole exchange."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    from django_lazyauth.openid.key_set import KeySet

    assert call("/offline", held["access_token"]).status_code == 200
    used = []
    monkeypatch.setattr(rsa.RSAPublicNumbers, "public_key", lambda *args: used.append("key"))
    monkeypatch.setattr(KeySet, "from_jwks", lambda *args: used.append("set"))
    assert call("/offline", held["access_token"]).status_code == 200
    assert not used


# -- settings ----------------------------------------------------------------------------------------------


def test_a_host_may_say_who_a_token_stands_for(client_, held, lazyauth):
    lazyauth(RESOURCE_SERVER={"user": lambda token: get_user_model()(pk=7, username=token.claims["jti"])})
    assert call("/who", held["access_token"]).json()["username"] == decoded(held["access_token"])[1]["jti"]
    lazyauth(RESOURCE_SERVER={"user": lambda token: None})
    assert refuses("/who", held["access_token"])


def test_another_issuers_tokens_need_an_audience_and_no_database(held, settings):
    """A token for any other site would do here; and revocations of somebody else are not in our database."""
    with pytest.raises(ImproperlyConfigured, match="audience"):
        call("/partner", held["access_token"])
    settings.LAZYAUTH = {**settings.LAZYAUTH, "REVOCATION_CHECK": True}
    with pytest.raises(ImproperlyConfigured, match="REVOCATION_CHECK"):
        call("/partner", held["access_token"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"RESOURCE_SERVER": "x"},
        {"RESOURCE_SERVER": {"audiences": []}},
        {"RESOURCE_SERVER": {"audience": [7]}},
        {"RESOURCE_SERVER": {"audience": None}},
        {"RESOURCE_SERVER": {"algorithms": []}},
        {"RESOURCE_SERVER": {"algorithms": ["HS256"]}},
        {"RESOURCE_SERVER": {"algorithms": ["none"]}},
        {"RESOURCE_SERVER": {"user": "nowhere.at_all"}},
        {"RESOURCE_SERVER": {"user": 7}},
        {"RESOURCE_SERVER": {"issuer": ""}},
        {"RESOURCE_SERVER": {"jwks_uri": 7}},
        {"REVOCATION_CHECK": "yes"},
        {"INTROSPECTION_CLIENTS": {"x": "https://api.example"}},
    ],
    ids=str,
)
def test_settings_that_cannot_be_read_are_errors_of_check(lazyauth, wrong):
    from django.core.checks import run_checks

    lazyauth(**wrong)
    found = [message.id for message in run_checks(tags=["lazyauth"])]
    assert found == ["lazyauth.E003"]


def test_the_verifier_works_without_a_web_framework_around_it(held):
    """For an MCP server, a consumer of messages, a management command."""
    verified = ResourceServer.from_settings().verify(held["access_token"], request_uri=f"{ISSUER}/anything")
    assert verified.token.tsid
    assert str(verified.user.pk) == verified.token.subject


def test_a_refusal_tells_the_log_which_check_failed_and_nothing_of_the_token(held, caplog):
    """I13."""
    caplog.set_level("INFO", logger="django_lazyauth.resource_server")
    token = forged(held["access_token"], exp=1)
    refuses("/offline", token)
    assert "(exp)" in caplog.text
    assert token not in caplog.text
    assert json.dumps(decoded(token)[1]["sub"]) not in caplog.text


def test_a_described_api_says_how_it_is_called():
    """OpenAPI: also for subclasses."""
    from drf_spectacular.generators import SchemaGenerator

    # Our apps do so where drf-spectacular is among the apps, too.
    from django_lazyauth.resource_server import openapi  # noqa: F401

    patterns = [path("tools", Tools.as_view()), path("offline", Offline.as_view())]
    schema = SchemaGenerator(patterns=patterns).get_schema(request=None, public=True)
    assert schema["components"]["securitySchemes"] == {
        "lazyauthAccessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    assert schema["paths"]["/tools"]["get"]["security"] == [{"lazyauthAccessToken": []}]


@pytest.mark.parametrize("kind", ["id_token", "logout_token", "twin"])
def test_what_is_no_access_token_revokes_nothing(client_, held, kind):
    """RFC 7009 §2.2: an unknown token is no error, and it ends no session that it merely names."""
    claims = decoded(held["access_token"])[1]
    token = {
        "id_token": held["id_token"],
        "logout_token": keys.sign(claims, key=keys.key_for(), typ="logout+jwt"),
        "twin": keys.sign(claims | {"jti": "twin"}, key=keys.key_for(), typ="at+jwt"),
    }[kind]
    answer = post_form(make_browser(), "/revoke_token", {"token": token, "client_id": client_.client_id})
    assert answer.status_code == 200
    assert call("/checked", held["access_token"]).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["/checked", "/database-scoped"])
def test_without_the_database_a_view_that_asks_it_about_tokens_is_unavailable(client_, url):
    """RFC 9110 §15.6.4: nothing says that the token is bad, and the same request is served later."""
    token = sign_in(client_)["access_token"]
    with database_gone():
        answer = call(url, token)
    assert answer.status_code == 503
    assert answer.json()["detail"] == "The token cannot be checked at the moment."
    assert 0 < int(answer.headers["Retry-After"]) <= 10
    assert "WWW-Authenticate" not in answer.headers
    assert call(url, token).status_code == 200
