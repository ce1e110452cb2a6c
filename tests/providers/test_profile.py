"""Address, name and claims: what cannot be used is as if it was not there, and refuses nobody."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_lazyauth.openid.descriptor import descriptor_from_settings
from django_lazyauth.openid.rules import Documents
from django_lazyauth.providers.profile import choose_address, log_unused, read_profile
from tests.support.examples import examples


def provider(**changes):
    return descriptor_from_settings("acme", {"issuer": "https://id.example", "client_id": "us", **changes})


def hub(**changes):
    return descriptor_from_settings(
        "hub", {"preset": "github", "client_id": "us", "client_secret": "s", **changes}
    )


def read(id_token, userinfo=None, **changes):
    return read_profile(Documents(id_token=id_token, userinfo=userinfo), provider(**changes))


@pytest.mark.parametrize(
    ("value", "email", "why"),
    [
        ("ada@corp.example", "ada@corp.example", None),
        (["ada@corp.example"], "ada@corp.example", None),
        (["ada@corp.example", "b@c"], "", "type"),
        ([], "", "type"),
        ("x" * 250 + "@b.c", "x" * 250 + "@b.c", None),
        ("x" * 251 + "@b.c", "", "too_long"),
        ("nobody", "", "type"),
        ("a@b@c", "", "type"),
        ("@b", "", "type"),
        ("a@", "", "type"),
        ("", "", "type"),
        ("a\0@b", "", "control"),
        ("a\n@b", "", "control"),
        ("\ud800@b", "", "control"),
        (7, "", "type"),
        ({"a": 1}, "", "type"),
        (None, "", None),
    ],
)
def test_an_address_is_used_or_absent(value, email, why):
    profile = read({"email": value, "email_verified": True})
    assert (profile.email, profile.email_verified) == (email, bool(email))
    assert profile.unused.get("email") == why


@pytest.mark.parametrize(
    ("value", "verified", "why"),
    [
        (True, True, None),
        ("true", True, None),
        (False, False, None),
        ("false", False, None),
        (None, False, None),
        (1, False, "type"),
        ("True", False, "type"),
        ("yes", False, "type"),
        ([True], False, "type"),
        ({}, False, "type"),
    ],
)
def test_only_what_is_named_counts_as_verified(value, verified, why):
    """I6."""
    profile = read({"email": "a@b", "email_verified": value})
    assert profile.email_verified is verified
    assert profile.unused.get("email_verified") == why


def test_the_site_says_which_values_mean_verified():
    assert read({"email": "a@b", "email_verified": 1}, truthy=[1]).email_verified
    assert not read({"email": "a@b", "email_verified": True}, truthy=[1]).email_verified
    assert read({"email": "a@b"}, claims={"email_verified": {"value": True}}).email_verified


def test_an_address_is_unverified_where_the_provider_does_not_vouch_for_it():
    """I6: administrators at Microsoft write what they like."""
    assert not read({"email": "a@b", "email_verified": True}, states_email_verified=False).email_verified


def test_address_and_flag_are_of_one_document():
    """I6."""
    assert not read({"email": "a@b"}, {"email": "c@d", "email_verified": True}).email_verified
    odd = read({"email": 7, "email_verified": False}, {"email": "c@d", "email_verified": True})
    assert (odd.email, odd.email_verified) == ("c@d", True)
    joined = {"join": ["id_token:local", "userinfo:host"], "with": "@"}
    mixed = read(
        {"local": "ada", "email_verified": True},
        {"host": "b", "email_verified": True},
        claims={"email": joined},
    )
    assert (mixed.email, mixed.email_verified) == ("ada@b", False)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Ada", "Ada"),
        (" Ada\n\0Lovelace\x7f ", "AdaLovelace"),
        ("\n" * 100 + "x" * 1_000_000, "x" * 128),
        ("x" * 129, "x" * 128),
        (7, "7"),
        (1.5, "1.5"),
        ("Zo\ud800e", "Zoe"),
        (True, ""),
        (["Ada"], ""),
        (float("inf"), ""),
        (10**4000, ""),
        ("\0", ""),
    ],
)
def test_a_name_is_made_to_fit(value, name):
    assert read({"name": value}).name == name


def test_the_first_usable_name_of_a_rule_is_taken():
    rules = {"name": ["name", {"join": ["given", "family"]}, "login"]}
    assert read({"name": [], "login": "ada"}, claims=rules).name == "ada"
    assert read({"given": "Ada", "family": "L", "login": "ada"}, claims=rules).name == "Ada L"


def test_what_nothing_signed_fills_a_name_only():
    descriptor = provider(claims={"name": ["name", "answer:user"]}, answer_params={"user": "text"})
    assert read_profile(Documents(id_token={}, answer={"user": "Ada"}), descriptor).name == "Ada"


def test_a_host_gets_claims_within_limits():
    deep = json.loads("[" * 8 + "]" * 8)
    claims = {
        "sub": "p",
        "nonce": "n",
        "ok": {"a": [1, "x", None, deep[0]]},
        "nul": "a\0",
        "inner": [{"\ud800": 1}],
        "deep": [[deep]],
        "huge": "x" * 20_000,
        "infinite": [float("inf")],
        "digits": 10**4000,
        "later": "still",
        "a\0b": 1,
    }
    profile = read(claims, {"later": "other", "more": 1})
    assert profile.claims == {"ok": claims["ok"], "later": "still", "more": 1}
    assert profile.unused == {
        "nul": "control",
        "inner": "control",
        "deep": "deep",
        "huge": "too_long",
        "infinite": "type",
        "digits": "type",
        "a\0b": "control",
    }


def test_the_claims_of_a_host_have_16_kib_together():
    profile = read({f"claim{number}": "x" * 1000 for number in range(20)})
    assert len(profile.claims) == 16
    assert len(json.dumps(profile.claims)) <= 16 * 1024


def test_one_line_names_claim_and_reason_and_never_the_value(caplog):
    """I13."""
    caplog.set_level("INFO", logger="django_lazyauth.upstream")
    claims = {"email": "hidden", "name": ["hidden"], "x\nhidden": "\0", **{f"c{n}": "\0" for n in range(20)}}
    log_unused("acme", read(claims))
    (line,) = caplog.messages
    assert "email (type), name (type), (odd name) (control)" in line
    assert line.endswith("and 15 more")
    assert "hidden" not in line
    log_unused("acme", read({"email": "a@b"}))
    assert len(caplog.messages) == 1


# --- A list of addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("addresses", [None, 7, {}, {"message": "limited"}, [], [7, {}, {"email": 7}]])
def test_a_list_that_names_no_address_leaves_the_unverified_one_of_the_profile(addresses):
    """I6."""
    profile = read_profile(Documents(userinfo={"id": 1, "email": "public@b", "email_verified": True}), hub())
    chosen = choose_address(profile, addresses, hub())
    assert (chosen.email, chosen.email_verified) == ("public@b", False)


def test_a_list_of_another_form_is_read_by_its_rules():
    """As PayPal's: a member of the answer, and other names."""
    shape = {"list": "data.emails", "address": ["mail", "value"], "verified": "confirmed", "primary": "main"}
    addresses = {
        "data": {
            "emails": [
                {"value": "first@b", "confirmed": "true", "main": False},
                {"mail": "second@b", "confirmed": True, "main": True},
                {"mail": "third@b", "confirmed": 1, "main": True},
            ]
        }
    }
    chosen = choose_address(read_profile(Documents(), hub()), addresses, hub(emails=shape))
    assert (chosen.email, chosen.email_verified) == ("second@b", True)


# --- Anything ---------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.just(10**4000)
    | st.just("x" * 1_000_000)
    | st.just("\ud800\0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
).flatmap(lambda value: st.sampled_from([1, 1, 1, 50]).map(lambda depth: _nested(value, depth)))


def _nested(value, depth):
    for _ in range(depth - 1):
        value = [value]
    return value


CLAIMS = st.dictionaries(st.sampled_from(["email", "email_verified", "name", "groups"]), JSON, max_size=3)


@hypothesis_settings(max_examples=examples(200), deadline=None)
@given(id_token=CLAIMS | JSON, userinfo=CLAIMS | JSON, addresses=JSON | st.lists(CLAIMS, max_size=3))
def test_no_json_keeps_anybody_out(id_token, userinfo, addresses):
    """Spec 9: an optional claim refuses nobody."""
    profile = read_profile(Documents(id_token=id_token, userinfo=userinfo), provider())
    chosen = choose_address(profile, addresses, hub())
    assert len(chosen.email) <= 254
    assert len(chosen.name) <= 128
    assert len(json.dumps(chosen.claims, allow_nan=False)) <= 16 * 1024 + 2
    log_unused("acme", chosen)


# --- What a host gets of each source ---------------------------------------------------------------------------


def test_a_host_gets_what_each_source_said_and_all_of_it_merged():
    documents = Documents(
        id_token={"sub": "7", "groups": ["a", {"b": [1]}], "org": {"id": 1}, "email": "a@b.c"},
        userinfo={"sub": "7", "org": {"id": 2}, "phones": [{"n": "1"}]},
        token={"workspace": {"id": "w", "access_token": "hidden"}, "refresh_token": "hidden"},
        answer={"device_id": "d"},
    )
    profile = read_profile(documents, provider())
    assert profile.claims == {
        "groups": ["a", {"b": [1]}],
        "org": {"id": 1},
        "email": "a@b.c",
        "phones": [{"n": "1"}],
    }
    assert profile.raw == {
        "id_token": documents.id_token,
        "userinfo": documents.userinfo,
        "token": {"workspace": {"id": "w"}},
        "answer": {"device_id": "d"},
    }


def test_i13_no_token_of_any_source_reaches_a_host():
    tokens = dict.fromkeys(("access_token", "refresh_token", "id_token"), "hidden")
    document = {**tokens, "nested": [{"a": tokens}], "sub": "7"}
    profile = read_profile(Documents(document, document, document, document), provider())
    assert "hidden" not in json.dumps([profile.claims, profile.raw])
    assert "hidden" not in repr(profile)


@pytest.mark.parametrize(("is_discovered", "limit"), [(False, 16 * 1024), (True, 4 * 1024)])
def test_what_a_host_gets_is_bounded_and_of_strangers_more_so(is_discovered, limit):
    document = {f"claim{number}": "x" * 1000 for number in range(40)} | {"odd": "\0"}
    descriptor = replace(provider(), is_discovered=is_discovered)
    profile = read_profile(Documents(document, document, document, document), descriptor)
    for kept in (profile.claims, profile.raw):
        assert limit - 1100 < len(json.dumps(kept)) <= limit + 64
    assert profile.unused["claim39"] == "too_long"
    assert profile.unused["odd"] == "control"


@hypothesis_settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=30,
        ),
        min_size=4,
        max_size=4,
    )
)
def test_whatever_the_sources_hold_a_host_gets_json_of_bounded_size(documents):
    profile = read_profile(Documents(*documents), provider())
    assert len(json.dumps(profile.raw, allow_nan=False).encode()) <= 16 * 1024 + 64
