"""Whose tokens are taken: those for this site, those for its apps, and nobody else's."""

from __future__ import annotations

import hashlib

import pytest

from django_lazyauth.openid.descriptor import DescriptorError, descriptor_from_settings
from django_lazyauth.openid.people.admission import earlier_subjects, refusing_key
from django_lazyauth.openid.rules import Documents
from tests.openid.test_verify import reason_of
from tests.support.id_tokens import ISSUER, NONCE, good_claims, sign, verify


def provider(**changes):
    return descriptor_from_settings("acme", {"issuer": ISSUER, "client_id": "us", **changes})


APPS = provider(audiences=["ios", "android"])

# --- Audiences ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("audience", ["ios", ["android"], "us", ["us"]])
def test_a_token_that_an_app_hands_over_may_be_for_the_app(audience):
    token = sign(good_claims(aud=audience))
    assert verify(token, provider=APPS, is_native=True).subject == "person-1"


@pytest.mark.parametrize("audience", ["ios", ["android"]])
def test_the_code_flow_takes_the_client_id_only(audience):
    assert reason_of(sign(good_claims(aud=audience)), provider=APPS) == "aud"


@pytest.mark.parametrize("audience", ["other", [], ["ios "], 7])
def test_no_app_may_hand_over_what_is_for_somebody_else(audience):
    assert reason_of(sign(good_claims(aud=audience)), provider=APPS, is_native=True) == "aud"


def test_an_app_without_audiences_has_the_client_id():
    assert reason_of(sign(good_claims(aud="ios")), is_native=True) == "aud"
    assert verify(sign(good_claims()), is_native=True).subject == "person-1"


@pytest.mark.parametrize(
    ("claims", "changes"),
    [
        # Google: the token is for the site's client, and was issued to the app's.
        ({"aud": "us", "azp": "android"}, {"audiences": ["android"]}),
        ({"aud": "us", "azp": "web"}, {"authorized_parties": ["web"]}),
        ({"aud": ["us", "other"], "azp": "web"}, {"authorized_parties": ["web"]}),
        ({"aud": ["us", "other"], "azp": "us"}, {"authorized_parties": ["web"]}),
    ],
)
def test_the_authorized_party_may_be_one_that_is_named(claims, changes):
    """OpenID Connect Core §3.1.3.7 (4, 5)."""
    token = sign(good_claims(**claims))
    assert verify(token, provider=provider(**changes), is_native=True).subject == "person-1"


@pytest.mark.parametrize(
    ("claims", "changes"),
    [
        ({"aud": ["us", "other"]}, {"audiences": ["other"]}),
        ({"aud": "us", "azp": "other"}, {"audiences": ["android"]}),
        ({"aud": "us", "azp": ["android"]}, {"audiences": ["android"]}),
        ({"aud": "us", "azp": "android"}, {"audiences": ["android"], "authorized_parties": []}),
        (
            {"aud": ["android", "other"], "azp": "android"},
            {"audiences": ["android"], "authorized_parties": ["web"]},
        ),
    ],
)
def test_any_other_authorized_party_is_refused(claims, changes):
    assert reason_of(sign(good_claims(**claims)), provider=provider(**changes), is_native=True) == "azp"


@pytest.mark.parametrize("value", [["x"] * 17, [""], [7], "ios", {"ios": 1}, ["x" * 256], ["a\0b"]])
@pytest.mark.parametrize("key", ["audiences", "authorized_parties"])
def test_a_list_of_client_ids_that_is_none_is_named_by_its_key(key, value):
    with pytest.raises(DescriptorError, match=f'"{key}" must be a list of at most 16 client ids'):
        provider(**{key: value})


# --- The nonce ------------------------------------------------------------------------------------------------

HASHED = hashlib.sha256(NONCE.encode()).hexdigest()


def test_apples_apps_may_hold_the_hash_of_the_nonce():
    apple = provider(nonce_hash="sha256")
    for nonce in (HASHED, NONCE):
        assert verify(sign(good_claims(nonce=nonce)), provider=apple, is_native=True).subject == "person-1"
    for nonce in (HASHED.upper(), HASHED[:-1], "", ..., hashlib.sha256(b"other").hexdigest()):
        assert reason_of(sign(good_claims(nonce=nonce)), provider=apple, is_native=True) == "nonce"


def test_a_hashed_nonce_is_of_apps_and_of_providers_that_say_so():
    assert reason_of(sign(good_claims(nonce=HASHED)), is_native=True) == "nonce"
    assert reason_of(sign(good_claims(nonce=HASHED)), provider=provider(nonce_hash="sha256")) == "nonce"


@pytest.mark.parametrize("nonce", ["optional", "none"])
def test_i9_a_token_that_is_handed_over_always_holds_the_nonce(nonce):
    """Nothing else binds it to this browser: a code flow without a nonce has PKCE."""
    lax = provider(nonce=nonce)
    assert verify(sign(good_claims(nonce=...)), provider=lax, nonce=None).subject == "person-1"
    for given in (..., "other"):
        assert reason_of(sign(good_claims(nonce=given)), provider=lax, is_native=True) == "nonce"


# --- Aliases --------------------------------------------------------------------------------------------------

ALIAS = "id.example"
TENANTS = {
    "issuer": "https://login.example/{tid}/v2.0",
    "openid_configuration": "https://login.example/common/.well-known/openid-configuration",
}


def test_an_alias_is_the_issuer_and_the_identity_is_kept_with_the_issuer():
    identity = verify(sign(good_claims(iss=ALIAS)), provider=provider(issuer_aliases=[ALIAS]))
    assert (identity.issuer, identity.issuers) == (ISSUER, (ISSUER, ALIAS))


@pytest.mark.parametrize("issuer", [ALIAS, "ID.example", "id.example/", "https://id.example/", [ALIAS]])
def test_a_name_that_is_no_alias_is_another_issuer(issuer):
    aliases = ["www.id.example"] if issuer == ALIAS else [ALIAS]
    assert reason_of(sign(good_claims(iss=issuer)), provider=provider(issuer_aliases=aliases)) == "iss"


def test_i19_an_alias_with_tenants_is_of_the_same_tenant():
    """Azure AD's older tokens have another issuer."""
    microsoft = provider(**TENANTS, issuer_aliases=["https://sts.example/{tid}/"])
    claims = {"iss": "https://sts.example/t1/", "tid": "t1"}
    identity = verify(sign(good_claims(**claims)), provider=microsoft)
    assert (identity.issuer, identity.tenant) == ("https://login.example/t1/v2.0", "t1")
    assert reason_of(sign(good_claims(**claims | {"tid": "t2"})), provider=microsoft) == "iss"


@pytest.mark.parametrize("alias", ["https://sts.example/", "https://sts.example/{oid}/"])
def test_i19_an_alias_without_the_tenant_is_refused_by_the_check(alias):
    with pytest.raises(DescriptorError, match='"issuer_aliases" must have the placeholders of "issuer"'):
        provider(**TENANTS, issuer_aliases=[alias])
    with pytest.raises(DescriptorError, match='"issuer_aliases" must have the placeholders'):
        provider(issuer_aliases=["https://sts.example/{tid}/"])


# --- Who may sign in ------------------------------------------------------------------------------------------


def key_of(allow, id_token, userinfo=None, tenant="", **changes):
    documents = Documents(id_token=id_token, userinfo=userinfo)
    return refusing_key(provider(allow=allow, **changes).people, documents, tenant)


@pytest.mark.parametrize(
    ("allow", "id_token", "userinfo"),
    [
        ({"hd": ["corp.example"]}, {"hd": "corp.example"}, None),
        ({"hd": ["other", "corp.example"]}, {}, {"hd": "corp.example"}),
        ({"groups": ["staff"]}, {"groups": ["guests", "staff"]}, None),
        ({"org.id": [7], "mfa": [True]}, {"org": {"id": 7}, "mfa": True}, None),
        (
            {'["https://corp.example/roles"][*].name': ["boss"]},
            {"https://corp.example/roles": [{"name": "boss"}]},
            None,
        ),
        ({"userinfo:hd": ["corp.example"]}, {"hd": "x"}, {"hd": "corp.example"}),
    ],
)
def test_who_has_one_of_the_values_may_sign_in(allow, id_token, userinfo):
    assert key_of(allow, id_token, userinfo) == ""


@pytest.mark.parametrize(
    ("allow", "id_token", "userinfo"),
    [
        ({"hd": ["corp.example"]}, {}, None),
        ({"hd": ["corp.example"]}, {"hd": "CORP.example"}, None),
        ({"hd": ["corp.example"]}, {"hd": None}, {}),
        # The signed word counts before the other.
        ({"hd": ["corp.example"]}, {"hd": "evil.example"}, {"hd": "corp.example"}),
        ({"hd": ["corp.example"]}, {"hd": {"corp.example": 1}}, None),
        ({"hd": ["corp.example"], "mfa": [True]}, {"hd": "corp.example", "mfa": False}, None),
        ({"level": [1]}, {"level": True}, None),
        ({"groups": ["staff"]}, {"groups": []}, {"groups": ["staff"]}),
    ],
)
def test_nobody_else_may(allow, id_token, userinfo):
    assert key_of(allow, id_token, userinfo) == "allow"


def test_i19_a_tenant_that_is_not_named_is_kept_out():
    assert key_of({}, {}, tenant="t1", **TENANTS, tenants=["t1"]) == ""
    for tenant in ("t2", "", "T1"):
        assert key_of({}, {}, tenant=tenant, **TENANTS, tenants=["t1"]) == "tenants"


@pytest.mark.parametrize(
    "value",
    [{"hd": []}, {"hd": "corp.example"}, {"hd": [None]}, {7: ["x"]}, ["hd"], {"a b": ["x"]}, {"": ["x"]}],
)
def test_an_allow_that_could_not_be_meant_is_named_by_its_key(value):
    with pytest.raises(DescriptorError, match=r'"allow" (must be|is no path)'):
        provider(allow=value)


def test_what_the_browser_brings_allows_nobody():
    with pytest.raises(DescriptorError, match='"allow" cannot look at "answer:"'):
        provider(allow={"answer:hd": ["corp.example"]})


def test_tenants_need_a_placeholder():
    with pytest.raises(DescriptorError, match='"tenants" needs a placeholder in "issuer"'):
        provider(tenants=["t1"])


# --- Earlier subjects -----------------------------------------------------------------------------------------


def test_i19_earlier_subjects_need_tenants_where_any_tenant_could_say_them():
    with pytest.raises(DescriptorError, match='"legacy_subjects" needs "tenants"'):
        provider(**TENANTS, legacy_subjects=["oid"])
    assert provider(**TENANTS, legacy_subjects=["oid"], tenants=["t1"]).people.tenants == ("t1",)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["a", "b", "c", "d"], "must be a list of at most 3"),
        ("oid", "must be a list of at most 3"),
        ([{"value": "x"}], "everybody would be one person"),
        ([{"join": ["a", "b"]}], 'needs "all": True'),
        (["email"], "equal addresses do not make one person"),
        ([["oid", "user.email"]], "equal addresses do not make one person"),
        (["answer:oid"], 'cannot be of "answer:"'),
        (["token:oid"], 'cannot be of "token:"'),
    ],
)
def test_a_rule_that_could_make_two_people_one_is_refused(value, words):
    """I5, I6."""
    with pytest.raises(DescriptorError) as caught:
        provider(legacy_subjects=value)
    assert '"legacy_subjects"' in caught.value.hint
    assert words in caught.value.hint


def test_the_preferred_earlier_subject_comes_first():
    people = provider(**TENANTS, tenants=["t"], legacy_subjects=["oid", ["upn", "name"], "missing"]).people
    claims = {"oid": 7, "upn": "x" * 254, "name": ""}
    assert earlier_subjects(people, Documents(id_token=claims), "t") == ("t:7", "7", "x" * 254)
