"""Each preset: it is usable as it is, reads the answers of its provider, and corrects typos.

The samples have the shapes that the providers document, with values of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from django_lazyauth.checks.providers import check_providers
from django_lazyauth.openid.descriptor import DescriptorError, descriptor_from_settings
from django_lazyauth.openid.presets import PRESETS
from django_lazyauth.openid.rules import Documents, find_subject
from django_lazyauth.providers.profile import choose_address, read_profile
from django_lazyauth.providers.token_answers import error_of
from tests.openid.preset_samples import SAMPLES

#: Presets of providers whose customers have an issuer each.
WITHOUT_ISSUER = {"auth0", "cognito", "keycloak", "okta"}
#: Presets of providers whose flag proves that the person controls the address.
VERIFYING = {
    *(
        "apple",
        "auth0",
        "bitbucket",
        "cognito",
        "discord",
        "dropbox",
        "github",
        "gitlab",
        "google",
        "huggingface",
    ),
    *("kakao", "keycloak", "linkedin", "okta", "patreon", "paypal", "salesforce", "slack", "twitch"),
    *("x", "yahoo", "zoom"),
}

every_preset = pytest.mark.parametrize("preset", sorted(PRESETS))


def entry_of(preset, **changes):
    own = {"preset": preset, "client_id": "us", "client_secret": "s" * 40}
    if preset in WITHOUT_ISSUER:
        own["issuer"] = "https://corp.example"
    return {**own, **changes}


@every_preset
def test_a_preset_needs_only_what_is_the_sites_own(preset, lazyauth):
    lazyauth(PROVIDERS={"it": entry_of(preset)})
    known = ["lazyauth.W015"] if preset in ("linkedin", "wechat") else []
    assert [message.id for message in check_providers()] == known


@pytest.mark.parametrize("preset", sorted(WITHOUT_ISSUER))
def test_the_issuer_of_a_customer_must_be_given(preset):
    with pytest.raises(DescriptorError, match='"issuer" is required'):
        descriptor_from_settings("it", entry_of(preset, issuer=None))


@every_preset
def test_a_preset_reads_the_answer_of_its_provider(preset):
    provider, sample = descriptor_from_settings("it", entry_of(preset)), SAMPLES[preset]
    assert error_of(sample.person, provider.requests.answer_error["userinfo"], provider.requests) is None
    source = "id_token" if provider.type == "oidc" else provider.requests.identity_from
    documents = Documents(**{source: sample.person})
    profile = read_profile(documents, provider)
    if provider.emails_endpoint:
        profile = choose_address(profile, sample.addresses, provider)
    found = (
        find_subject(provider.subject, documents),
        profile.email,
        profile.email_verified,
        profile.name,
    )
    assert found == (sample.subject, sample.email, sample.verified, sample.name)


def test_apple_brings_a_name_beside_the_code():
    provider = descriptor_from_settings("it", entry_of("apple"))
    answer = {"user": {"name": {"firstName": "Ann", "lastName": "Lee"}, "email": "other@corp.example"}}
    profile = read_profile(Documents(id_token=SAMPLES["apple"].person, answer=answer), provider)
    assert (profile.name, profile.email) == ("Ann Lee", SAMPLES["apple"].email)


@pytest.mark.parametrize(
    ("preset", "answer"),
    [
        ("vk", {"error": "invalid_token"}),
        ("wechat", {"errcode": 40003, "errmsg": "invalid openid"}),
        ("linear", {"errors": [{"message": "Authentication required"}]}),
        ("naver", {"resultcode": "024", "message": "Authentication failed"}),
        ("slack", {"ok": False, "error": "invalid_auth"}),
        ("tiktok", {"data": {}, "error": {"code": "access_token_invalid", "message": "expired"}}),
    ],
)
def test_an_answer_that_says_that_it_failed_is_none(preset, answer):
    requests = descriptor_from_settings("it", entry_of(preset)).requests
    assert error_of(answer, requests.answer_error["userinfo"], requests) is not None


@every_preset
def test_a_flag_counts_only_where_it_proves_something(preset):
    provider = descriptor_from_settings("it", entry_of(preset))
    assert provider.states_email_verified is (preset in VERIFYING)


def keys_of(mapping, path=()):
    """Yield the path of each key of ours, not those of parameters and headers."""
    for name, value in mapping.items():
        yield (*path, name)
        if name in {"answer_error", "claims", "emails", "prompt_params"} and isinstance(value, Mapping):
            yield from keys_of(value, (*path, name))


@pytest.mark.parametrize(
    ("preset", "path"),
    [
        pytest.param(name, path, id=f"{name}-{'.'.join(path)}")
        for name, preset in sorted(PRESETS.items())
        for path in keys_of(preset.entry)
    ],
)
def test_a_typo_in_a_key_of_a_preset_is_named_with_its_correction(preset, path):
    *above, name = path
    typo = name[:1] + name[2:]
    changes = {typo: "x"}
    for step in reversed(above):
        changes = {step: changes}
    with pytest.raises(DescriptorError, match=f'unknown key "{typo}"; did you mean "{name}"'):
        descriptor_from_settings("it", entry_of(preset, **changes))


@every_preset
def test_a_preset_says_when_it_was_checked(preset):
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", PRESETS[preset].checked)


#: What asks for refresh tokens; nothing where they come unasked, ``None`` where there are none.
OFFLINE = {
    "atlassian": ["offline_access"],
    "battlenet": None,
    "dropbox": ["token_access_type=offline"],
    "facebook": None,
    "google": ["access_type=offline"],
    "reddit": ["duration=permanent"],
    "salesforce": ["refresh_token"],
    "x": ["offline.access"],
    **{name: ["offline_access"] for name in ("auth0", "keycloak", "microsoft", "okta")},
}


@every_preset
def test_a_preset_asks_for_refresh_tokens_as_its_provider_wants(preset):
    provider = descriptor_from_settings("it", entry_of(preset))
    requests = provider.requests
    asked = [
        *requests.offline_scopes,
        *(f"{name}={value}" for name, value in requests.offline_params.items()),
    ]
    expected = OFFLINE.get(preset, [])
    assert requests.offline == ("never" if expected is None else "auto")
    if expected is not None:
        assert asked == expected
    assert provider.further_scopes == ()
    assert (requests.offline_prompt == "always") is (preset == "atlassian")


@pytest.mark.parametrize(
    ("preset", "words"),
    [("facebook", {"auth_type": "rerequest"}), ("strava", {"approval_prompt": "force"}), ("github", {})],
)
def test_a_preset_asks_for_consent_in_the_words_of_its_provider(preset, words):
    provider = descriptor_from_settings("it", entry_of(preset))
    assert provider.requests.prompt_params["consent"] == words
