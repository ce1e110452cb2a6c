"""Which people of a provider are taken, and as whom: through our pages, at a real provider process."""

from __future__ import annotations

import itertools
import logging
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_lazyauth.checks.providers import check_providers
from django_lazyauth.errors import ProviderUnavailable, RefreshError, RegistrationRefused
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, UpstreamToken
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.signals import identity_updated
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.users import UserResolver
from django_lazyauth.vault import store
from tests.support.examples import examples
from tests.support.journey import get, make_browser, query_of, start, submit

from .conftest import go_upstream, sign_in_upstream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(upstream, lazyauth, settings):
    """Configure the provider; return it."""

    def configured(**changes):
        config = changes.pop("config", None) or upstream.config(**changes)
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": config})
        return upstream

    configured.upstream = upstream
    return configured


def test_linkedin_calls_itself_by_two_names(acme, client_):
    """Metadata, callback and ID token have the alias, in any mixture. The identity has the issuer."""
    alias = "https://www.acme.example"
    upstream = acme(issuer_aliases=[alias])
    for levers in (
        {"metadata": {"issuer": alias}},
        {"claims": {"iss": alias}},
        {"claims": {"iss": alias}, "callback": {"iss": alias}},
        {"callback": {"iss": alias}},
    ):
        upstream.control(reset=True, **levers)
        sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().issuer == upstream.issuer


def test_a_name_that_nobody_configured_is_refused(acme, client_):
    upstream = acme()
    browser = make_browser()
    levers = {"claims": {"iss": "https://www.acme.example"}}
    page = go_upstream(upstream, browser, start(browser, client_, provider="acme"), **levers)
    assert "could not be verified" in page.content.decode()
    assert not ProviderIdentity.objects.exists()


# --- Who may sign in ------------------------------------------------------------------------------------------


@pytest.fixture
def turned_away(acme, client_, caplog):
    """Come back from the provider, and see that the person is told to choose another account."""

    def go(**levers):
        caplog.set_level(logging.INFO, "django_lazyauth.upstream")
        browser = make_browser()
        page = go_upstream(acme.upstream, browser, start(browser, client_, provider="acme"), **levers)
        assert "This account may not sign in here. Choose another." in page.content.decode()
        assert not ProviderIdentity.objects.exists()
        line = [record for record in caplog.records if record.getMessage().startswith("sign-in failed:")][-1]
        assert (line.levelno, line.reason) == (logging.INFO, "not_allowed")
        return browser, page

    return go


def test_who_is_not_of_the_domain_is_asked_for_another_account(acme, turned_away):
    upstream = acme(allow={"hd": ["corp.example"]}, userinfo="never")
    browser, page = turned_away(claims={"hd": "other.example"})
    again = submit(browser, page, provider="acme").headers["Location"]
    assert query_of(again)["prompt"] == "select_account"
    back = urlsplit(upstream.authorize(again, claims={"hd": "corp.example"}))
    assert get(browser, f"{back.path}?{back.query}").status_code == 303


def test_userinfo_is_asked_for_what_the_id_token_does_not_have(acme, client_, turned_away):
    upstream = acme(allow={"groups": ["staff"]})
    turned_away(userinfo={"groups": ["guests"]})
    upstream.control(reset=True, userinfo={"groups": ["guests", "staff"]})
    sign_in_upstream(upstream, client_)
    assert len(upstream.requests("/userinfo")) == 1
    upstream.control(reset=True, claims={"groups": ["staff"]})
    sign_in_upstream(upstream, client_)
    assert upstream.requests("/userinfo") == []


def test_a_userinfo_that_does_not_answer_lets_nobody_in_who_needs_it(acme, client_):
    upstream = acme(allow={"groups": ["staff"]}, userinfo_endpoint="http://127.0.0.1:9/userinfo")
    browser = make_browser()
    page = go_upstream(upstream, browser, start(browser, client_, provider="acme"))
    assert "does not answer at the moment" in page.content.decode()
    assert not ProviderIdentity.objects.exists()
    upstream.control(claims={"groups": "staff", "name": None})
    sign_in_upstream(upstream, client_)


def test_an_oauth2_provider_has_the_same_key(acme, client_, turned_away):
    upstream = acme(config=acme.upstream.oauth2_config(allow={"company": ["corp"]}))
    turned_away()
    upstream.control(reset=True, user={"id": 1, "company": "corp"})
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().subject == "1"


def of_tenant(upstream, tenant):
    name = f"{upstream.issuer}/{tenant}"
    return {"claims": {"iss": name, "tid": tenant}, "callback": {"iss": name}}


def test_i19_a_tenant_that_is_not_named_is_turned_away(acme, client_, turned_away):
    issuer = acme.upstream.issuer + "/{tid}"
    upstream = acme(
        issuer=issuer,
        openid_configuration=f"{acme.upstream.issuer}/.well-known/openid-configuration",
        tenants=["corp"],
    )
    upstream.control(metadata={"issuer": issuer})
    turned_away(**of_tenant(upstream, "evil"))
    upstream.control(**of_tenant(upstream, "corp"))
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().subject == "corp:person-1"


# --- Earlier subjects -----------------------------------------------------------------------------------------


@pytest.fixture
def told():
    """What ``identity_updated`` said."""
    found = []

    def hear(**said):
        found.append((said["user"].pk, said["identity"].subject, said["changed"], said["session_id"]))

    identity_updated.connect(hear, weak=False)
    yield found
    identity_updated.disconnect(hear)


@pytest.fixture
def grace(django_user_model):
    """Somebody whom other software knew by another claim."""
    user = django_user_model.objects.create_user("grace")
    said = {"email": "person-1@acme.example", "email_verified": True, "name": "Name of person-1"}
    ProviderIdentity.objects.create(user=user, provider="acme", subject="old-7", **said)
    return user


def test_who_was_known_by_another_claim_is_moved_once_and_told(acme, client_, grace, told):
    upstream = acme(legacy_subjects=["oid"])
    upstream.control(claims={"oid": "old-7"})
    sign_in_upstream(upstream, client_)
    sign_in_upstream(upstream, client_)
    identity = ProviderIdentity.objects.get()
    assert (identity.user, identity.subject, identity.issuer) == (grace, "person-1", upstream.issuer)
    first = PendingAuthorization.objects.order_by("created_at").first()
    assert told == [(grace.pk, "person-1", {"subject"}, first.pk)]


def test_i5_an_earlier_subject_that_was_moved_lets_nobody_else_in(acme, client_, grace):
    """A name that people may change could be somebody else's by now."""
    upstream = acme(legacy_subjects=["oid"])
    upstream.control(claims={"oid": "old-7"})
    sign_in_upstream(upstream, client_)
    upstream.control(sub="person-2")
    sign_in_upstream(upstream, client_)
    owners = dict(ProviderIdentity.objects.values_list("subject", "user"))
    assert owners["person-1"] == grace.pk
    assert owners["person-2"] != grace.pk


def test_i5_who_is_found_by_the_subject_is_nobody_elses_earlier_self(acme, client_, grace, django_user_model):
    ada = django_user_model.objects.create_user("ada")
    ProviderIdentity.objects.create(user=ada, provider="acme", subject="person-1")
    upstream = acme(legacy_subjects=["oid"])
    upstream.control(claims={"oid": "old-7"})
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get(subject="old-7").user == grace
    assert ProviderIdentity.objects.get(subject="person-1").user == ada


def test_a_receiver_that_refuses_leaves_the_earlier_subject(acme, client_, grace):
    def refuse(**said):
        raise RegistrationRefused("Not now.")

    upstream = acme(legacy_subjects=["oid"])
    identity_updated.connect(refuse, weak=False)
    try:
        browser = make_browser()
        page = go_upstream(
            upstream, browser, start(browser, client_, provider="acme"), claims={"oid": "old-7"}
        )
    finally:
        identity_updated.disconnect(refuse)
    assert query_of(page.headers["Location"])["error"] == "access_denied"
    assert ProviderIdentity.objects.get().subject == "old-7"


def test_an_oauth2_provider_knows_earlier_subjects_too(acme, client_, grace):
    upstream = acme(config=acme.upstream.oauth2_config(legacy_subjects=["login"]))
    upstream.control(user={"id": 583231, "login": "old-7"})
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().subject == "583231"
    assert ProviderIdentity.objects.get().user == grace


def test_an_earlier_subject_may_be_in_userinfo(acme, client_, grace):
    upstream = acme(legacy_subjects=["userinfo:user_id"])
    upstream.control(userinfo={"user_id": "old-7"})
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().user == grace


def test_i19_an_earlier_subject_of_a_tenant_is_found_with_and_without_the_tenant(
    acme, client_, grace, django_user_model
):
    """allauth keeps Microsoft's ``oid`` alone."""
    ada = django_user_model.objects.create_user("ada")
    ProviderIdentity.objects.create(user=ada, provider="acme", subject="corp:old-8")
    issuer = acme.upstream.issuer + "/{tid}"
    upstream = acme(
        issuer=issuer,
        openid_configuration=f"{acme.upstream.issuer}/.well-known/openid-configuration",
        tenants=["corp"],
        legacy_subjects=["oid"],
    )
    for sub, oid, user in (("p1", "old-7", grace), ("p2", "old-8", ada)):
        levers = of_tenant(upstream, "corp")
        levers["claims"]["oid"] = oid
        upstream.control(metadata={"issuer": issuer}, sub=sub, **levers)
        sign_in_upstream(upstream, client_)
        assert ProviderIdentity.objects.get(subject=f"corp:{sub}").user == user


def test_tokens_of_before_the_move_are_renewed_after_it(acme, client_):
    """The bundle has the earlier subject, and the new ID token has both."""
    upstream = acme(subject="oid")
    upstream.control(claims={"oid": "old-7"})
    sign_in_upstream(upstream, client_)
    acme(legacy_subjects=["oid"])
    row = UpstreamToken.objects.get()
    before = store.get(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id)
    for _ in range(2):
        fresh_token(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id, force=True)
    after = store.get(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id)
    assert (after.subject, after.access_token != before.access_token) == ("old-7", True)
    upstream.control(claims={"oid": "old-8"})
    with pytest.raises(RefreshError):
        fresh_token(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id, force=True)


# --- What a host gets -----------------------------------------------------------------------------------------


class Keeping(UserResolver):
    """Keeps what it was given."""

    given: ClassVar[list] = []

    def create(self, identity):
        self.given.append(identity)
        return super().create(identity)


@pytest.mark.parametrize("mode", ["immediate", "lazy"])
def test_a_resolver_gets_lists_and_objects_whole(acme, client_, lazyauth, mode):
    """Also where they wait sealed until the code is redeemed."""
    lazyauth(USER_RESOLVER=f"{__name__}.Keeping")
    Keeping.given.clear()
    upstream = acme(registration=mode, userinfo="always")
    upstream.control(
        claims={"groups": ["a", {"b": [1]}]},
        userinfo={"org": {"id": 2, "roles": ["x"]}, "name": "Other"},
        token={"team": {"id": "t", "access_token": "hidden"}},
    )
    sign_in_upstream(upstream, client_)
    (identity,) = Keeping.given
    assert (identity.claims["groups"], identity.claims["org"]) == (
        ["a", {"b": [1]}],
        {"id": 2, "roles": ["x"]},
    )
    assert (identity.claims["name"], identity.raw["userinfo"]["name"]) == ("Name of person-1", "Other")
    assert identity.raw["id_token"]["iss"] == upstream.issuer
    assert identity.raw["token"]["team"] == {"id": "t"}
    assert not {"access_token", "refresh_token", "id_token"} & set(identity.raw["token"])


# --- Odd claims -----------------------------------------------------------------------------------------------

#: Claims that this site reads, and two that it does not.
OPTIONAL = [
    "email",
    "email_verified",
    "name",
    "given_name",
    "family_name",
    "preferred_username",
    "amr",
    "acr",
]
OPTIONAL += ["auth_time", "groups", "at_hash", "updated_at", "locale", "address", "odd.name", "\0"]


def nested(value, levels):
    for level in range(levels):
        value = [value] if level % 2 else {"in": value}
    return value


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
) | st.sampled_from(
    [
        "",
        "\0",
        "a\0b",
        "\ud800",
        "a@b@c",
        "@",
        "x" * 300 + "@b.c",
        10**300,
        -1,
        1e308,
        "null",
        nested("x", 50),
    ]
)
#: What fits into a token: nothing of more levels, and no text of a megabyte.
HUGE = st.sampled_from(["x" * 1_000_000, ["x"] * 200_000, nested("x", 200)])


@pytest.mark.parametrize("registration", ["immediate", "lazy"])
def test_whatever_an_optional_claim_holds_the_person_signs_in(acme, client_, registration):
    """Through the real callback, as a new person each time; both documents have odd values at once."""
    upstream = acme(registration=registration, userinfo="always")
    number = itertools.count(1)

    @hypothesis_settings(max_examples=examples(60), deadline=None, derandomize=True)
    @given(
        st.dictionaries(st.sampled_from(OPTIONAL), ODD, max_size=3),
        st.dictionaries(st.sampled_from(OPTIONAL), ODD | HUGE, max_size=1),
    )
    @example({"email": nested("x", 50)}, {"name": "x" * 1_000_000})
    @example({"name": "\0\ud800"}, {"email": nested("x", 200), "groups": ["x"] * 100_000})
    def sign_in(id_token, userinfo):
        subject = f"new-{next(number)}"
        upstream.control(reset=True, sub=subject, claims=id_token, userinfo=userinfo)
        sign_in_upstream(upstream, client_)
        identity = ProviderIdentity.objects.get(subject=subject)
        assert len(identity.name) <= 128
        assert identity.email == "" or identity.email.count("@") == 1

    sign_in()


# --- Two providers of one issuer ------------------------------------------------------------------------------


def two(upstream, lazyauth, settings, **changes):
    lazyauth(
        PROVIDERS=settings.LAZYAUTH["PROVIDERS"]
        | {
            "acme": upstream.config(**changes),
            "corp": upstream.config(registration=changes.get("registration")),
        }
    )


@pytest.mark.parametrize("registration", ["immediate", "lazy"])
@pytest.mark.parametrize("first", ["acme", "corp"])
def test_i5_the_people_of_two_providers_may_be_one(
    upstream, client_, lazyauth, settings, registration, first
):
    """Whichever they choose first. The tokens stay with the client that they were given to."""
    two(upstream, lazyauth, settings, accounts_of="corp", registration=registration)
    for name in (first, "acme", "corp"):
        sign_in_upstream(upstream, client_, provider=name)
    identity = ProviderIdentity.objects.get()
    assert (identity.provider, identity.subject) == ("corp", "person-1")
    assert list(UpstreamToken.objects.order_by("pk").values_list("provider", flat=True)) == [
        first,
        "acme",
        "corp",
    ]
    row = UpstreamToken.objects.filter(provider="acme").last()
    before = store.get(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id)
    fresh = fresh_token(row.session_id, "acme", user_id=row.user_id, client_id=row.client_id, force=True)
    assert fresh != before.access_token


@pytest.mark.parametrize(
    "changes",
    [
        {"accounts_of": "nobody"},
        {"accounts_of": "acme"},
        {"accounts_of": "demo"},
        {"accounts_of": "corp", "subject": "oid"},
        {"accounts_of": "corp", "issuer": "https://other.example"},
    ],
)
def test_i19_a_provider_of_other_people_is_set_up_wrongly(upstream, lazyauth, settings, changes):
    """Also while the site runs: nobody becomes somebody of another issuer."""
    two(upstream, lazyauth, settings, **changes)
    with pytest.raises(ProviderUnavailable) as caught:
        _ = get_provider("acme").accounts
    assert caught.value.reason == "misconfigured"
    assert [found.id for found in check_providers()] == ["lazyauth.E008"]


@pytest.mark.parametrize(("accounts_of", "ids"), [(None, ["lazyauth.E022"]), ("corp", []), (False, [])])
def test_a_check_asks_whose_people_those_of_two_providers_are(upstream, lazyauth, settings, accounts_of, ids):
    two(upstream, lazyauth, settings, accounts_of=accounts_of)
    assert [found.id for found in check_providers()] == ids


def test_people_are_others_on_purpose(upstream, client_, lazyauth, settings):
    two(upstream, lazyauth, settings, accounts_of=False)
    for name in ("acme", "corp"):
        sign_in_upstream(upstream, client_, provider=name)
    assert ProviderIdentity.objects.values("user").distinct().count() == 2
