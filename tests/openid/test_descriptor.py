"""A provider is a dict; what is wrong with it is said by the name of the key."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from django_lazyauth.openid.descriptor import DescriptorError, descriptor_from_settings, read_keys
from django_lazyauth.openid.provider_kinds import ALGORITHMS, OWN_PARAMETERS, UPSTREAMS
from django_lazyauth.openid.provider_settings import (
    CLAIMS,
    EMAILS,
    KEYS,
    ClaimsConfig,
    EmailsConfig,
    ProviderConfig,
)
from django_lazyauth.openid.requests.authentication import methods_to_try
from django_lazyauth.openid.requests.config import (
    AnswerErrorConfig,
    PromptsConfig,
    SignedSecretConfig,
    TokenResponseConfig,
)
from django_lazyauth.openid.requests.signing import assertion
from django_lazyauth.openid.rules import parse


def pem_of(key, encryption=None):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    ).decode()


LOCKED = pem_of(ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"password"))
SIGNED = {
    "key": pem_of(ec.generate_private_key(ec.SECP256R1())),
    "key_id": "ABC123",
    "issuer": "TEAM123",
}
MINIMAL = {"issuer": "https://id.example", "client_id": "us"}


def made(**changes):
    return descriptor_from_settings("acme", {**MINIMAL, **changes})


def test_an_issuer_and_a_client_id_are_enough():
    descriptor = made()
    assert (descriptor.name, descriptor.type, descriptor.scopes) == (
        "acme",
        "oidc",
        ("openid", "profile", "email"),
    )
    assert descriptor.algorithms == ALGORITHMS
    assert not [name for name in ALGORITHMS if name.startswith("HS")]
    assert descriptor.token_endpoint_auth_method == "auto"
    assert descriptor.configuration_url == "https://id.example/.well-known/openid-configuration"


KEY = {"private_key": pem_of(ec.generate_private_key(ec.SECP256R1()))}
SECRET = {"client_secret": "s" * 32}
ALL_METHODS = ("client_secret_jwt", "client_secret_post", "client_secret_basic", "private_key_jwt")


@pytest.mark.parametrize(
    ("config", "listed", "method"),
    [
        ({}, (), "none"),
        ({}, ALL_METHODS, "none"),
        (KEY, (), "private_key_jwt"),
        (SECRET, (), "client_secret_basic"),
        ({**SECRET, **KEY}, ALL_METHODS, "private_key_jwt"),
        ({**SECRET, **KEY}, ("client_secret_post",), "client_secret_post"),
        (SECRET, ALL_METHODS, "client_secret_basic"),
        (SECRET, ("client_secret_jwt", "client_secret_post"), "client_secret_post"),
        (SECRET, ("client_secret_jwt",), "client_secret_jwt"),
        ({"client_secret": "short"}, ("client_secret_jwt",), "client_secret_basic"),
        (SECRET, ("tls_client_auth",), "client_secret_basic"),
        ({**SECRET, "token_endpoint_auth_method": "client_secret_post"}, ALL_METHODS, "client_secret_post"),
    ],
)
def test_the_authentication_method_follows_from_what_is_there_and_listed(config, listed, method):
    """OpenID Connect Core §9: client_secret_basic is the default."""
    assert methods_to_try(made(**config), listed)[0] == method


def test_a_signed_secret_is_a_secret():
    assert methods_to_try(made(signed_secret=SIGNED), ())[0] == "client_secret_basic"
    assert methods_to_try(made(signed_secret=SIGNED), ("client_secret_post",)) == ("client_secret_post",)


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=lambda key: type(key).__name__,
)
def test_the_keys_that_sign_assertions(key):
    """RFC 7523 §3, RFC 7518 §3."""
    descriptor = replace(made(private_key=pem_of(key)), token_endpoint_auth_method="private_key_jwt")
    sent = assertion(descriptor, "https://id.example/token")
    header = jwt.get_unverified_header(sent)
    claims = jwt.decode(sent, key.public_key(), [header["alg"]], audience="https://id.example/token")
    assert claims["sub"] == "us"


def test_an_oauth_provider_gets_the_secret_in_the_form():
    descriptor = descriptor_from_settings("hub", {**OAUTH2, **SECRET})
    assert methods_to_try(descriptor, ())[0] == "client_secret_post"


def test_no_secret_is_in_its_repr():
    """I13."""
    shown = repr(made(client_secret="hidden-1", private_key=KEY["private_key"]))
    assert "hidden" not in shown


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        made().issuer = "https://other.example"
    with pytest.raises(TypeError):
        made(extra_authorize_params={"a": "b"}).extra_authorize_params["a"] = "c"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"issuer": ""}, "issuer"),
        ({"issuer": 7}, "issuer"),
        ({"issuer": "id.example"}, "issuer"),
        ({"issuer": "javascript:alert(1)"}, "issuer"),
        ({"issuer": "https://id.example?a=b"}, "issuer"),
        ({"issuer": "https://id.example#a"}, "issuer"),
        ({"issuer": "https://id.example/.well-known/openid-configuration"}, "issuer"),
        ({"issuer": "https://user@id.example"}, "issuer"),
        ({"issuer": "https://id.example/{ti d}"}, "issuer"),
        ({"issuer": "https://{tid}.id.example/"}, "issuer"),
        ({"issuer": "https://id.example/{tid}"}, "openid_configuration"),
        ({"issuer": "https://id.example/" + "x" * 255}, "issuer"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": None}, "client_id"),
        ({"client_id": "a\0b"}, "client_id"),
        ({"client_secret": 7}, "client_secret"),
        ({"scopes": "openid email"}, "scopes"),
        ({"scopes": ["email"]}, "scopes"),
        ({"scopes": ["openid", "a b"]}, "scopes"),
        ({"scopes": ["openid", *map(str, range(40))]}, "scopes"),
        ({"algorithms": []}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": ["RS256", "HS1"]}, "algorithms"),
        ({"algorithms": ["RS256", "HS256"]}, "client_secret"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "client_secret"),
        ({"token_endpoint_auth_method": "client_secret_jwt", "client_secret": "short"}, "client_secret"),
        ({"token_endpoint_auth_method": "client_secret_post"}, "client_secret"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "private_key"),
        ({"private_key": "hidden"}, "private_key"),
        ({"private_key": pem_of(rsa.generate_private_key(65537, 1024))}, "private_key"),
        ({"private_key": pem_of(ec.generate_private_key(ec.SECP521R1()))}, "private_key"),
        ({"private_key": pem_of(ed448.Ed448PrivateKey.generate())}, "private_key"),
        ({"private_key": LOCKED}, "private_key"),
        ({"signed_secret": {**SIGNED, "key": None}}, "key"),
        ({"signed_secret": {**SIGNED, "key": pem_of(ec.generate_private_key(ec.SECP384R1()))}}, "key"),
        ({"signed_secret": {**SIGNED, "key_id": None}}, "key_id"),
        ({"signed_secret": {**SIGNED, "isuer": "x"}}, "issuer"),
        ({"signed_secret": {**SIGNED, "lifetime": 60}}, "lifetime"),
        ({"signed_secret": {**SIGNED, "lifetime": 15_777_001}}, "lifetime"),
        ({"signed_secret": {**SIGNED, "lifetime": True}}, "lifetime"),
        ({"signed_secret": SIGNED, "client_secret": "s"}, "signed_secret"),
        (
            {
                "signed_secret": SIGNED,
                "token_endpoint_auth_method": "client_secret_post",
                "algorithms": ["HS256"],
            },
            "algorithms",
        ),
        ({"signed_secret": SIGNED, "token_endpoint_auth_method": "client_secret_jwt"}, "client_secret"),
        ({"claims": {"subject": "email"}}, "subject"),
        ({"claims": "email"}, "claims"),
        ({"subject": ""}, "subject"),
        ({"claims": {"phone": "phone"}}, "claims"),
        ({"claims": {"email": 7}}, "claims"),
        ({"claims": {"email": "a b"}}, "email"),
        ({"claims": {"email": "answer:email"}}, "email"),
        ({"claims": {"name": "answer:user"}}, "answer_params"),
        ({"token_params": {"device_id": "{answer:device_id}"}}, "token_params"),
        ({"userinfo_params": {"id": "{answer:x.y}"}}, "userinfo_params"),
        ({"userinfo_params": {"id": "{token:a..b}"}}, "userinfo_params"),
        ({"userinfo_endpoint": "https://id.example/{answer:x}"}, "userinfo_endpoint"),
        ({"token_endpoint": "https://id.example/{token:x}"}, "token_endpoint"),
        ({"answer_params": {"code": "text"}}, "answer_params"),
        ({"answer_params": {"user": "xml"}}, "answer_params"),
        ({"answer_params": dict.fromkeys("abcde", "text")}, "answer_params"),
        ({"response_mode": "query"}, "response_mode"),
        ({"keep": ["userinfo:id"]}, "keep"),
        ({"keep": ["token:a[0]"]}, "keep"),
        ({"keep": ["answer:device_id"]}, "keep"),
        ({"refresh_params": {"device_id": "{token:device_id}"}}, "refresh_params"),
        ({"type": "oauth2", "identity_from": "userinfo"}, "subject"),
        ({"extra_authorize_params": {"response_mode": "form_post"}}, "extra_authorize_params"),
        ({"claims": {"email_verified": "answer:x"}}, "email_verified"),
        ({"subject": "userinfo:sub"}, "subject"),
        ({"subject": "answer:sub"}, "subject"),
        ({"subject": {"value": "all"}}, "subject"),
        ({"subject": {"join": ["a", "b"]}}, "subject"),
        ({"truthy": []}, "truthy"),
        ({"truthy": [1.5]}, "truthy"),
        ({"userinfo": True}, "userinfo"),
        ({"states_email_verified": "no"}, "states_email_verified"),
        ({"extra_authorize_params": {"state": "mine"}}, "extra_authorize_params"),
        ({"extra_authorize_params": {"a": 1}}, "extra_authorize_params"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"jwks_uri": "https://"}, "jwks_uri"),
        ({"type": "saml"}, "type"),
        ({"type": "oauth2", "subject": "id"}, "authorization_endpoint"),
        ({"preset": "nowhere"}, "preset"),
        ({"scope_separator": ";"}, "scope_separator"),
        ({"scope_parameter": "a b"}, "scope_parameter"),
        ({"scope_parameter": ""}, "scope_parameter"),
        ({"prompt_params": {"none": {}}}, "none"),
        ({"offline": True}, "offline"),
        ({"offline_scopes": "offline_access"}, "offline_scopes"),
        ({"offline_params": {"scope": "x"}}, "offline_params"),
        ({"offline_params": {"access_type": "{answer:x}"}}, "offline_params"),
        ({"offline_prompt": "never"}, "offline_prompt"),
        ({"prompt_params": {"login": {"state": "x"}}}, "login"),
        ({"pkce": "plain"}, "pkce"),
        ({"nonce": False}, "nonce"),
        ({"claims_parameter": "{}"}, "claims_parameter"),
        ({"claims_parameter": {"a": {1, 2}}}, "claims_parameter"),
        ({"claims_parameter": {"a": "x" * 9000}}, "claims_parameter"),
        ({"authorize_fragment": "#a"}, "authorize_fragment"),
        ({"client_id_parameter": "a=b"}, "client_id_parameter"),
        ({"client_id_parameter": "state"}, "client_id_parameter"),
        ({"client_secret_parameter": "code"}, "client_secret_parameter"),
        ({"basic_encoding": "none"}, "basic_encoding"),
        ({"refresh_endpoint": "id.example"}, "refresh_endpoint"),
        ({"token_method": "get"}, "token_method"),
        ({"token_body": "xml"}, "token_body"),
        ({"token_params": {"code": "x"}}, "token_params"),
        ({"token_params": {"a": "{access_token}"}}, "token_params"),
        ({"refresh_params": {"refresh_token": "x"}}, "refresh_params"),
        ({"refresh_params": {"a": "{redirect_uri}"}}, "refresh_params"),
        ({"headers": {"Authorization": "x"}}, "headers"),
        ({"headers": {"cookie": "x"}}, "headers"),
        ({"headers": {"content-type": "x"}}, "headers"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"headers": {"A": "b\r\nC: d"}}, "headers"),
        ({"headers": {"A b": "c"}}, "headers"),
        ({"headers": {"A": "{state}"}}, "headers"),
        ({"token_endpoint": "https://id.example/{state}"}, "token_endpoint"),
        ({"token_response": {"access_token": "userinfo:a"}}, "access_token"),
        ({"token_response": {"access_token": "a..b"}}, "access_token"),
        ({"answer_error": {"token": 7}}, "token"),
        ({"answer_ok": "ok"}, "answer_ok"),
        ({"answer_ok": [None]}, "answer_ok"),
        ({"refused_grants": "dead"}, "refused_grants"),
        ({"denials": [""]}, "denials"),
        ({"userinfo_method": "PUT"}, "userinfo_method"),
        ({"userinfo_token": "basic"}, "userinfo_token"),
        ({"userinfo_token": "header:a b"}, "userinfo_token"),
        ({"userinfo_token": "form:token"}, "userinfo_token"),
        ({"userinfo_auth": "basic"}, "userinfo_auth"),
        ({"userinfo_auth": "client"}, "userinfo_auth"),
        ({"userinfo_params": {"a": "{state}"}}, "userinfo_params"),
        ({"userinfo_body": {"query": "x"}}, "userinfo_body"),
        ({"userinfo_body": "x"}, "userinfo_body"),
        ({"userinfo_endpoint": "https://id.example/{state}"}, "userinfo_endpoint"),
        ({"extra_authorize_params": {"a": "{access_token}"}}, "extra_authorize_params"),
        ({"authorization_endpoint": "https://id.example/{tenant}"}, "authorization_endpoint"),
        ({"authorization_endpoint": "https://{client_id}/a"}, "authorization_endpoint"),
    ],
)
def test_a_wrong_key_is_named(changes, key):
    """A hint names the key and never holds the value (I13)."""
    with pytest.raises(DescriptorError) as caught:
        made(**changes)
    assert f'"{key}"' in caught.value.hint


@pytest.mark.parametrize("name", ["", "Acme", "a b", "x" * 65, "é", "-a"])
def test_a_name_has_to_fit_its_column_and_its_url(name):
    with pytest.raises(DescriptorError, match="name"):
        descriptor_from_settings(name, MINIMAL)


@pytest.mark.parametrize("name", sorted(OWN_PARAMETERS))
def test_our_own_parameters_cannot_be_replaced(name):
    """I9: state, nonce and PKCE are minted here."""
    with pytest.raises(DescriptorError, match=name):
        made(extra_authorize_params={name: "x"})


def test_the_mapping_overrides_its_preset():
    descriptor = descriptor_from_settings(
        "work",
        {
            "preset": "google",
            "client_id": "us",
            "scopes": ["openid"],
            "extra_authorize_params": {"hd": "corp.example"},
            "algorithms": None,
        },
    )
    assert (descriptor.issuer, descriptor.scopes) == ("https://accounts.google.com", ("openid",))
    assert descriptor.extra_authorize_params == {"hd": "corp.example"}
    assert descriptor.requests.offline_params == {"access_type": "offline"}
    assert descriptor.algorithms == ("RS256",)


def test_an_empty_parameter_takes_one_of_the_preset_away():
    """RFC 6749 §3.1: a parameter without a value is none."""
    config = {"preset": "google", "client_id": "us", "offline_params": {"access_type": ""}}
    assert descriptor_from_settings("work", config).requests.offline_params == {}


def test_what_the_well_known_ones_need_is_there():
    def preset(name):
        return descriptor_from_settings(name, {"preset": name, "client_id": "us", "client_secret": "s"})

    assert preset("microsoft").placeholders == ("tid",)
    assert preset("microsoft").states_email_verified is False
    assert preset("apple").requests.response_mode == "form_post"
    assert (preset("github").type, preset("github").subject) == ("oauth2", parse("id"))


# --- The table --------------------------------------------------------------------------------------------

OAUTH2 = {
    "type": "oauth2",
    "client_id": "us",
    "subject": "id",
    "authorization_endpoint": "https://hub.example/authorize",
    "token_endpoint": "https://hub.example/token",
    "userinfo_endpoint": "https://hub.example/user",
}
SMALLEST = {"oidc": MINIMAL, "oauth2": OAUTH2, "password": {"type": "password"}}
OF_A_TYPE = [(kind, key.name) for kind in SMALLEST for key in KEYS if kind in key.types]


def hint_of(mapping):
    with pytest.raises(DescriptorError) as caught:
        read_keys("acme", mapping)
    return caught.value.hint


@pytest.mark.parametrize("kind", SMALLEST)
def test_the_smallest_entry_of_each_type_is_enough(kind):
    assert read_keys("acme", SMALLEST[kind])["type"] == kind


@pytest.mark.parametrize(("kind", "name"), OF_A_TYPE)
def test_a_typo_in_a_key_is_named_with_its_correction(kind, name):
    typo = name[1:]
    hint = hint_of({**SMALLEST[kind], typo: "hidden"})
    assert hint == f'unknown key "{typo}"; did you mean "{name}"?'


@pytest.mark.parametrize(
    ("kind", "outer", "name"),
    [
        (kind, key.name, member.name)
        for kind in UPSTREAMS
        for key in KEYS
        if kind in key.types
        for member in key.members
    ],
)
def test_a_typo_in_a_nested_key_is_named_with_its_correction(kind, outer, name):
    typo = name[1:]
    hint = hint_of({**SMALLEST[kind], outer: {typo: "hidden"}})
    assert hint == f'"{outer}": unknown key "{typo}"; did you mean "{name}"?'


@pytest.mark.parametrize("name", [key.name for key in EMAILS])
def test_the_rules_of_a_list_of_addresses_have_no_source(name):
    assert (
        hint_of({**OAUTH2, "emails": {name: "userinfo:x"}}) == f'"emails": "{name}" cannot be of "userinfo:"'
    )


def test_only_an_openid_provider_has_an_id_token():
    with pytest.raises(DescriptorError, match='cannot be of "id_token:" for type "oauth2"'):
        descriptor_from_settings("hub", {**OAUTH2, "claims": {"name": "id_token:name"}})


def test_a_key_like_no_other_is_named_alone():
    assert hint_of({**MINIMAL, "zzz": 1}) == 'unknown key "zzz"'
    assert hint_of({**MINIMAL, 7: 1}) == "a key that is no text"


def test_a_typo_is_told_before_what_follows_from_it():
    assert hint_of({**OAUTH2, "typ": "oauth2", "type": None}) == 'unknown key "typ"; did you mean "type"?'


def test_an_unknown_preset_is_told_with_the_one_that_was_meant():
    assert hint_of({"preset": "gogle"}).endswith('; did you mean "google"?')


def test_the_old_name_of_the_subject_is_told_with_the_new_one():
    assert hint_of({**OAUTH2, "claims": {"subject": "id"}}) == (
        '"claims": unknown key "subject"; it is now "subject" beside "claims"'
    )


@pytest.mark.parametrize("kind", SMALLEST)
def test_a_key_that_its_type_cannot_use_is_refused(kind):
    foreign = [key.name for key in KEYS if kind not in key.types]
    assert foreign
    for name in foreign:
        assert hint_of({**SMALLEST[kind], name: "x"}) == f'"{name}" cannot be used with type "{kind}"'


@pytest.mark.parametrize("kind", UPSTREAMS)
def test_none_is_as_if_the_key_was_not_there(kind):
    nothing = dict.fromkeys(key.name for key in KEYS if key.name not in SMALLEST[kind])
    assert read_keys("acme", {**nothing, **SMALLEST[kind]}) == read_keys("acme", SMALLEST[kind])


@pytest.mark.parametrize(("kind", "name"), OF_A_TYPE)
def test_a_value_of_the_wrong_type_is_named_by_its_key_alone(kind, name):
    """I13."""
    hint = hint_of({**SMALLEST[kind], name: b"hidden"})
    assert f'"{name}"' in hint
    assert "hidden" not in hint


def test_an_entry_of_a_class_may_have_any_further_key():
    values = read_keys("acme", {**MINIMAL, "class": "myapp.Provider", "fault_file": "x", "jwks_uri": None})
    assert (values["client_id"], values["class"]) == ("us", "myapp.Provider")


def test_the_types_of_nested_keys_have_the_keys_of_the_table():
    types = {
        "prompt_params": PromptsConfig,
        "token_response": TokenResponseConfig,
        "answer_error": AnswerErrorConfig,
        "signed_secret": SignedSecretConfig,
    }
    for key in KEYS:
        if key.name in types:
            assert set(types[key.name].__annotations__) == {member.name for member in key.members}


def test_the_type_for_checkers_has_the_keys_of_the_table():
    assert set(ProviderConfig.__annotations__) == {key.name for key in KEYS}
    assert set(ClaimsConfig.__annotations__) == {key.name for key in CLAIMS}
    assert set(EmailsConfig.__annotations__) == {key.name for key in EMAILS}


def test_settings_may_import_the_type():
    """Nothing of Django is imported for it."""
    code = "import sys, django_lazyauth.openid.provider_settings; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
