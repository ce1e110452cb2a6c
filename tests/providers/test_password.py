"""The password provider: what a stranger can learn or take, and what an owner can do."""

from __future__ import annotations

import json
import logging
import re
import smtplib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import ClassVar

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import MD5PasswordHasher, check_password, make_password
from django.contrib.auth.signals import user_login_failed
from django.core import mail
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection
from django.template import Context, Engine
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.views.debug import ExceptionReporter
from oauth2_provider.models import get_application_model

from django_lazyauth.errors import ProviderUnavailable, RegistrationRefused
from django_lazyauth.kit import throttle
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, Reason
from django_lazyauth.providers import password as module
from django_lazyauth.providers.base import Page, Success
from django_lazyauth.providers.password import PasswordProvider
from django_lazyauth.providers.password_forms import normalise_address, user_of
from tests.support.mail import mail_settings

pytestmark = pytest.mark.django_db

OLD = "correct-horse-battery"
NEW = "staple-gun-and-paper-7"
ALICE = "alice@example.org"
NOBODY = "nobody@example.org"
CODE = re.compile(r"\b([0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4})\b")
FLOW_URL = "/flow/password"


class CountingHasher(MD5PasswordHasher):
    """A real hasher that says how often it worked."""

    calls = 0

    def encode(self, password, salt):
        type(self).calls += 1
        return super().encode(password, salt)


class BrokenMail(BaseEmailBackend):
    def send_messages(self, email_messages):
        raise OSError(f"refused {email_messages[0].to}")


@pytest.fixture(autouse=True)
def site(settings):
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    settings.AUTH_PASSWORD_VALIDATORS = [
        {"NAME": f"django.contrib.auth.password_validation.{name}"}
        for name in ("MinimumLengthValidator", "UserAttributeSimilarityValidator", "NumericPasswordValidator")
    ]
    cache.clear()
    mail.outbox.clear()


@pytest.fixture
def client_row():
    return get_application_model().objects.create(
        name="Reader", client_type="public", authorization_grant_type="authorization-code"
    )


@pytest.fixture
def begin_flow(client_row):
    def begin(**values):
        return Flow(
            PendingAuthorization.objects.create(
                client=client_row,
                redirect_uri="https://reader.example/cb",
                code_challenge="x" * 43,
                binding_digest="0" * 64,
                expires_at=timezone.now() + timedelta(minutes=15),
                **values,
            )
        )

    return begin


@pytest.fixture
def flow(begin_flow):
    return begin_flow()


@pytest.fixture
def alice():
    user = get_user_model().objects.create(username="alice-1234", email=ALICE, password=make_password(OLD))
    ProviderIdentity.objects.create(
        user=user, provider="password", subject=ALICE, email=ALICE, email_verified=True
    )
    return user


class Flow:
    """One browser in one flow: keeps what the flow would keep sealed."""

    def __init__(self, pending):
        self.pending = pending
        self.provider = PasswordProvider("password", {})
        self.first = self.provider.begin(pending, state="s", callback_uri="https://auth.example/cb")
        self.private = self.first.private

    def post(self, action, **fields):
        return self._step(RequestFactory().post(FLOW_URL, {"action": action, **fields}))

    def get(self, **query):
        return self._step(RequestFactory().get(FLOW_URL, query))

    def _step(self, request):
        step = self.provider.complete(request, self.pending, json.loads(json.dumps(self.private)))
        if isinstance(step, Page) and step.private is not None:
            self.private = step.private
        return step

    def sign_in(self, email, password):
        return self.post("sign_in", email=email, password=password)

    def ask(self, kind, email=NOBODY, password=NEW):
        return self.post(kind, email=email, password=password)

    def confirm(self, code=None):
        return self.post("verify", code=code or mailed_code())


def mailed_code():
    return CODE.search(mail.outbox[-1].body).group(1)


def html(page):
    """Render *page* as the view does, under a bare base template."""
    base = "{% block title %}{% endblock %}{% block content %}{% endblock %}"
    engine = Engine(
        loaders=[
            ("django.template.loaders.locmem.Loader", {"django_lazyauth/base.html": base}),
            "django.template.loaders.app_directories.Loader",
        ],
        libraries={"i18n": "django.templatetags.i18n"},
    )
    context = {
        **page.context,
        "flow_url": FLOW_URL,
        "form_token": "token-of-the-form",
        "client": {"name": "<Reader>"},
        "choices_url": "/choices",
    }
    return engine.get_template(page.template).render(Context(context))


def hashes(action):
    """Return what *action* returned and how many hashes it computed."""
    CountingHasher.calls = 0
    result = action()
    return result, CountingHasher.calls


def errors_of(page):
    return {name: [str(text) for text in texts] for name, texts in page.context["form"].errors.items()}


# -- the pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "template"), [("", "sign_in"), ("login", "sign_in"), ("create", "register")]
)
def test_the_first_page_is_the_one_that_was_asked_for(begin_flow, prompt, template):
    """Initiating User Registration via OpenID Connect §4: ``prompt=create``."""
    flow = begin_flow(prompt=prompt)
    assert flow.first.template == f"django_lazyauth/password/{template}.html"
    assert flow.get().template == flow.first.template


def test_the_login_hint_is_prefilled(begin_flow):
    """OpenID Connect Core §3.1.2.1: ``login_hint``."""
    flow = begin_flow(login_hint=ALICE)
    for page in (flow.first, flow.get(step="register"), flow.get(step="change")):
        assert BeautifulSoup(html(page), "html.parser").find("input", {"name": "email"})["value"] == ALICE


@pytest.mark.parametrize("hint", ["a\u202eb@example.org", "x" * 256, "tab\tbed"])
def test_a_login_hint_that_could_mislead_is_not_shown(begin_flow, hint):
    assert (
        "value"
        not in BeautifulSoup(html(begin_flow(login_hint=hint).first), "html.parser")
        .find("input", {"name": "email"})
        .attrs
    )


@pytest.mark.parametrize("step", ["register", "change", "sign_in"])
def test_each_step_has_an_address(flow, step):
    assert flow.get(step=step).template == f"django_lazyauth/password/{step}.html"


@pytest.mark.parametrize("step", ["code", "../base", "", "\x00", "x" * 10_000])
def test_an_unknown_step_is_the_first_page(flow, step):
    """I18."""
    assert flow.get(step=step).template == flow.first.template


def test_a_reload_shows_the_code_page_again_and_sends_nothing(flow):
    """RFC 9110 §9.2.1: GET is safe."""
    flow.ask("register")
    before = dict(flow.private)
    assert flow.get().template == "django_lazyauth/password/code.html"
    assert flow.private == before
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("action", ["", "verify", "resend", "delete", "\x00"])
def test_a_form_that_fits_no_step_begins_again(flow, action):
    """I18: a form of a tab that was left open, or a made-up one."""
    page = flow.post(action, code="ABCD-1234")
    assert page.template == flow.first.template
    assert not mail.outbox


def test_every_form_is_labelled_posts_to_the_flow_and_carries_its_token(flow):
    pages = [flow.first, flow.get(step="register"), flow.get(step="change"), flow.ask("register")]
    for page in pages:
        soup = BeautifulSoup(html(page), "html.parser")
        assert not soup.select("script, style, [style], [onclick]")
        for form in soup.find_all("form"):
            assert (form["method"], form["action"]) == ("post", FLOW_URL)
            assert form.find("input", {"name": "form_token"})["value"] == "token-of-the-form"
            assert form.find("input", {"name": "action"})["value"]
            for field in form.select("input:not([type=hidden])"):
                assert form.find("label", {"for": field["id"]})
                assert field["autocomplete"] in {
                    "username",
                    "current-password",
                    "new-password",
                    "one-time-code",
                }


def test_errors_are_announced_and_named_by_their_field(flow):
    """WCAG 2.2 §3.3.1, §4.1.3."""
    soup = BeautifulSoup(html(flow.ask("register", email="not an address", password="short")), "html.parser")
    for name in ("email", "password"):
        field = soup.find("input", {"name": name})
        assert field["aria-invalid"] == "true"
        described = [soup.find(id=each) for each in field["aria-describedby"].split()]
        assert all(described)
        assert any(each.find_parent(attrs={"role": "alert"}) for each in described)
    assert soup.find("input", {"name": "password"}).get("value") is None


def test_the_name_of_a_client_and_what_was_typed_are_escaped(flow):
    page = html(flow.sign_in('"><script>alert(1)</script>', OLD))
    assert "<script" not in page
    assert "&lt;Reader&gt;" in page


# -- sign in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [ALICE, "ALICE@Example.ORG", " alice@example.org "])
def test_the_owner_of_an_identity_signs_in(flow, alice, typed):
    success = flow.sign_in(typed, OLD)
    assert isinstance(success, Success)
    assert (success.identity.provider, success.identity.subject) == ("password", ALICE)
    assert (success.user, success.commit, success.amr) == (alice, None, ("pwd",))


def test_a_user_of_the_site_signs_in_without_an_identity(flow):
    bob = get_user_model().objects.create_user("bob", "bob@example.org", OLD)
    success = flow.sign_in("bob", OLD)
    assert isinstance(success, Success)
    assert (success.user, success.commit) == (bob, None)
    assert not success.identity.email_verified


def test_the_subject_of_a_user_of_the_site_can_be_nobodys_address(flow):
    """I5: a subject made up here never meets one that an address registered."""
    get_user_model().objects.create_user("bob", "bob@example.org", OLD)
    success = flow.sign_in("bob", OLD)
    with pytest.raises(ValidationError):
        normalise_address(success.identity.subject)


def test_a_user_of_the_site_is_not_found_by_e_mail(flow):
    """I6."""
    get_user_model().objects.create_user("bob", "bob@example.org", OLD)
    assert isinstance(flow.sign_in("bob@example.org", OLD), Page)


def test_an_address_that_a_provider_proved_names_its_user_whose_own_password_counts(flow, alice):
    """The same as the user name, with the same one hash. No account is linked by it (I6)."""
    ProviderIdentity.objects.update(provider="google")
    success, calls = hashes(lambda: flow.sign_in(ALICE, OLD))
    assert (success.user, success.identity.subject, calls) == (alice, f"user:{alice.pk}", 1)
    failed, calls = hashes(lambda: flow.sign_in(ALICE, "wrong"))
    assert isinstance(failed, Page)
    assert calls == 1
    for login in (ALICE, NOBODY, alice.get_username()):
        with CaptureQueriesContext(connection) as asked:
            user_of(login)
        assert len(asked) == 2, login


class ByAddress(ModelBackend):
    """Knows people by their address alone, as a backend of django-allauth may."""

    def authenticate(self, request, username=None, password=None, email=None, **_):
        found = get_user_model().objects.filter(email=email or username)
        return next((user for user in found if user.check_password(password)), None)


class ByName(ModelBackend):
    """Takes these credentials and no others."""

    def authenticate(self, request, username, password):
        return super().authenticate(request, username=username, password=password)


@pytest.mark.parametrize("backends", [[ByAddress], [ByName], [ByName, ByAddress]])
def test_backends_of_the_site_are_given_what_they_know_people_by(flow, alice, settings, backends):
    """The password was right before the account at the provider moved in, and it still is."""
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.{backend.__name__}" for backend in backends]
    ProviderIdentity.objects.update(provider="google")
    assert flow.sign_in(ALICE, OLD).user == alice
    assert isinstance(flow.sign_in(ALICE, "wrong"), Page)


def test_a_backend_that_finds_somebody_else_by_the_address_signs_nobody_in(flow, alice, settings):
    """I6: one user proved the address, and another only wrote it down."""
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.ByAddress"]
    ProviderIdentity.objects.update(provider="google")
    get_user_model().objects.create_user("mallory", ALICE, NEW)
    assert isinstance(flow.sign_in(ALICE, NEW), Page)


@pytest.mark.parametrize("why", ["unproved", "two", "organisation", "user name"])
def test_an_address_names_nobody_where_it_could_be_somebody_elses(flow, alice, why):
    """I6: unproved, proved by two, vouched for by an organisation of its own, or a user name here."""
    ProviderIdentity.objects.update(provider="google")
    match why:
        case "unproved":
            ProviderIdentity.objects.update(email_verified=False)
        case "two":
            bob = get_user_model().objects.create_user("bob", password=NEW)
            proved = {"email": ALICE, "email_verified": True}
            ProviderIdentity.objects.create(user=bob, provider="other", subject="bob", **proved)
        case "organisation":
            ProviderIdentity.objects.update(provider="sso:evil.example", sso_domain="evil.example")
        case "user name":
            get_user_model().objects.create_user(ALICE, "", NEW)
    assert isinstance(flow.sign_in(ALICE, OLD), Page)


def test_a_user_who_calls_themselves_like_an_address_does_not_sign_in_as_it(flow, alice):
    """I6: whose address has an identity is that identity."""
    get_user_model().objects.create_user(ALICE, "", NEW)
    assert isinstance(flow.sign_in(ALICE, NEW), Page)
    assert flow.sign_in(ALICE, OLD).user == alice


@pytest.fixture
def accounts(alice):
    users = get_user_model().objects
    users.create_user("bob", "bob@example.org", OLD)
    for name, values in {"gone": {"is_active": False}, "empty": {"password": "!unusable"}}.items():
        user = users.create(username=name, **{"password": make_password(OLD), **values})
        address = f"{name}@example.org"
        ProviderIdentity.objects.create(user=user, provider="password", subject=address)


@pytest.mark.parametrize(
    ("login", "password"),
    [
        (ALICE, OLD),
        (ALICE, "wrong"),
        ("bob", OLD),
        ("bob", "wrong"),
        (NOBODY, OLD),
        ("nobody", OLD),
        ("gone@example.org", OLD),
        ("empty@example.org", OLD),
    ],
)
def test_every_check_of_a_password_is_one_hash(flow, accounts, login, password):
    """No timing oracle: known or unknown, right or wrong, active or not."""
    _result, calls = hashes(lambda: flow.sign_in(login, password))
    assert calls == 1


def test_a_deactivated_or_passwordless_user_does_not_sign_in(flow, accounts):
    for login in ("gone@example.org", "empty@example.org"):
        for password in (OLD, "!unusable"):
            assert isinstance(flow.sign_in(login, password), Page)


def test_every_failure_is_the_same_page(begin_flow, accounts):
    """No oracle: the page differs in nothing but what was typed."""
    seen = set()
    for login in (ALICE, "bob", NOBODY, "nobody", "gone@example.org", "empty@example.org"):
        page = begin_flow().sign_in(login, "wrong-" + OLD)
        seen.add((page.status, html(page).replace(login, "…")))
    assert len(seen) == 1


def test_every_failure_is_told_to_what_the_host_hangs_on_failures(flow, alice):
    told = []

    def receiver(sender, credentials, **kwargs):
        told.append(credentials)

    user_login_failed.connect(receiver)
    try:
        flow.sign_in(ALICE, "wrong")
        flow.sign_in(NOBODY, "wrong")
    finally:
        user_login_failed.disconnect(receiver)
    assert [each["username"] for each in told] == [ALICE, NOBODY]
    assert all(each.get("password", "*") != "wrong" for each in told)


@pytest.mark.parametrize("login", [ALICE, NOBODY])
def test_an_account_is_guessed_at_ten_times_and_then_nothing_helps(begin_flow, alice, login):
    """Password guessing across flows; the refusal costs the same, and says for how long it holds."""
    assert len({html(begin_flow().sign_in(login, f"wrong-{turn}")) for turn in range(10)}) == 1
    locked, calls = hashes(lambda: begin_flow().sign_in(login, OLD))
    minutes = int(re.search(r"Too many attempts\. Try again in (\d+) minutes?, or replace", html(locked))[1])
    assert 1 <= minutes <= 15
    assert str(module.NOT_SIGNED_IN) not in html(locked)
    assert calls == 1


def test_being_locked_out_looks_the_same_for_an_address_that_nobody_has(begin_flow, alice):
    """No oracle: existing and unknown, the right password and a wrong one."""
    pages = set()
    for login in (ALICE, NOBODY, "nobody"):
        for _ in range(10):
            begin_flow().sign_in(login, "wrong")
        for password in (OLD, "wrong"):
            pages.add(html(begin_flow().sign_in(login, password)).replace(login, "…"))
    assert len(pages) == 1


@pytest.fixture
def names(alice):
    """Four names of one person: their user name, and an address that each of three providers proved."""
    proved = ["alice@work.example", "alice@home.example"]
    for number, address in enumerate(proved):
        ProviderIdentity.objects.create(
            user=alice, provider=f"up{number}", subject=address, email=address, email_verified=True
        )
    return [ALICE, alice.get_username(), *proved]


def test_all_names_of_a_person_are_guessed_at_ten_times_together(begin_flow, names):
    """Threat model: one person, one budget. The right password under a further name is not tried any more."""
    for turn in range(10):
        begin_flow().sign_in(names[turn % 3], "wrong")
    refused, calls = hashes(lambda: begin_flow().sign_in(names[3], OLD))
    assert (str(refused.context["alert"]), calls) == (str(module.NOT_SIGNED_IN), 1)
    assert refused.refused.reason == Reason.RATE_LIMIT


def test_no_page_shows_that_two_names_belong_to_one_person(begin_flow, names):
    """After guesses at one name the other looks as one that nobody has: the words, the hash and what receivers get."""
    for _ in range(11):
        begin_flow().sign_in(names[0], "wrong")
    told, pages = [], []
    user_login_failed.connect(receiver := lambda credentials, **_: told.append(credentials["username"]))
    try:
        for login in (names[1], NOBODY):
            for _ in range(10):
                page, calls = hashes(lambda login=login: begin_flow().sign_in(login, "wrong"))
                pages.append((html(page).replace(login, "…"), calls))
            locked = html(begin_flow().sign_in(login, "wrong"))
            assert "Too many attempts" in locked
    finally:
        user_login_failed.disconnect(receiver)
    assert len(set(pages)) == 1
    assert told == [names[1]] * 10 + [NOBODY] * 10


def test_the_right_password_gives_its_attempt_back_to_the_person(begin_flow, names):
    for turn in range(20):
        assert isinstance(begin_flow().sign_in(names[turn % 2], OLD), Success)
    assert isinstance(begin_flow().sign_in(names[2], OLD), Success)


def test_the_lock_ends_when_it_says_so(begin_flow, alice, monkeypatch):
    now = module.ACCOUNT_FAILURES.window.total_seconds() * 2_000_000 + 420
    monkeypatch.setattr(throttle, "time", SimpleNamespace(time=lambda: now))
    for _ in range(10):
        begin_flow().sign_in(ALICE, "wrong")
    assert "Try again in 8 minutes" in html(begin_flow().sign_in(ALICE, OLD))
    now += 8 * 60
    assert isinstance(begin_flow().sign_in(ALICE, OLD), Success)


def test_spelling_an_address_differently_is_no_new_account_to_guess_at(begin_flow, alice):
    for turn in range(10):
        begin_flow().sign_in(["ALICE@example.org", "alice@EXAMPLE.org"][turn % 2], "wrong")
    assert isinstance(begin_flow().sign_in(ALICE, OLD), Page)


def test_a_flow_guesses_ten_times_at_all_accounts_together(flow, alice):
    for turn in range(10):
        flow.sign_in(f"somebody-{turn}@example.org", "wrong")
    locked = flow.sign_in(ALICE, OLD)
    assert str(locked.context["alert"]) == str(module.TOO_MANY_IN_FLOW)


def test_signing_in_often_locks_nobody_out(begin_flow, alice):
    for _ in range(15):
        assert isinstance(begin_flow().sign_in(ALICE, OLD), Success)


def test_an_owner_locked_out_by_a_guesser_gets_in_through_the_mailbox(begin_flow, alice):
    for _ in range(11):
        begin_flow().sign_in(ALICE, "wrong")
    flow = begin_flow()
    flow.ask("change", ALICE)
    assert isinstance(flow.confirm(), Success)


@pytest.mark.parametrize("bad", ["\x00", "a\x00b", "\ud800", "x" * 255, "", " ", "ﷺ" * 254])
def test_a_malformed_name_is_an_error_of_the_form(flow, bad):
    """I18."""
    assert "email" in errors_of(post_raw(flow, "sign_in", email=bad, password=OLD))


@pytest.mark.parametrize("bad", ["\x00", "a\x00b", "\ud800", "x" * 4097, "x" * 1_000_000, ""])
@pytest.mark.parametrize("action", ["sign_in", "register", "change"])
def test_a_malformed_password_is_an_error_of_the_form_and_is_not_hashed(flow, action, bad):
    """I18: and no megabytes are hashed."""
    page, calls = hashes(lambda: post_raw(flow, action, email=NOBODY, password=bad))
    assert "password" in errors_of(page)
    assert calls == 0


def post_raw(flow, action, **fields):
    """Post what no browser would encode."""
    request = RequestFactory().post(FLOW_URL)
    request.POST = {"action": action, **fields}
    return flow._step(request)


def test_an_outdated_hash_is_renewed_by_the_right_password(flow, alice, settings):
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.ScryptPasswordHasher",
        f"{__name__}.CountingHasher",
    ]
    assert isinstance(flow.sign_in(ALICE, OLD), Success)
    alice.refresh_from_db()
    assert alice.password.startswith("scrypt$")


def test_without_a_cache_people_sign_in_and_no_mail_goes_out(flow, alice, settings):
    """Threat model, operations: sign-in works, what sends mail to strangers fails closed."""
    settings.CACHES = {"default": {"BACKEND": "tests.kit.test_throttle.BrokenCache"}}
    assert isinstance(flow.sign_in(ALICE, OLD), Success)
    with pytest.raises(ProviderUnavailable) as failure:
        flow.ask("register")
    assert failure.value.reason == "mail", "the page says that no mail can be sent, and not that one was"
    assert not mail.outbox


def test_a_cache_that_breaks_after_the_first_mail_is_no_limit_that_was_reached(flow, settings):
    """The page of the code must not say that a mail is on its way, or that too many were sent."""
    flow.ask("register")
    settings.CACHES = {"default": {"BACKEND": "tests.kit.test_throttle.BrokenCache"}}
    with pytest.raises(ProviderUnavailable):
        flow.post("resend")
    assert len(mail.outbox) == 1


# -- register --------------------------------------------------------------------------------------------


def test_registering_is_confirmed_by_the_mailed_code(flow):
    page = flow.ask("register", "New.Person@Example.ORG")
    assert page.template == "django_lazyauth/password/code.html"
    assert mail.outbox[0].to == ["new.person@example.org"]
    success = flow.confirm()
    identity = success.identity
    assert (identity.provider, identity.subject) == ("password", "new.person@example.org")
    assert (identity.email, identity.email_verified) == ("new.person@example.org", True)
    assert success.amr == ("pwd", "otp")
    assert set(success.commit) == {"kind", "email", "password_hash"}
    assert (success.commit["kind"], success.commit["email"]) == ("register", "new.person@example.org")
    assert check_password(NEW, success.commit["password_hash"])


def test_signing_in_writes_no_row(flow):
    """I4: nothing of a person exists before the flows write it."""
    flow.ask("register")
    flow.confirm()
    assert not get_user_model().objects.exists()
    assert not ProviderIdentity.objects.exists()


@pytest.mark.parametrize("kind", ["register", "change"])
def test_a_known_and_an_unknown_address_differ_in_nothing_but_the_mail(
    begin_flow, alice, kind, django_assert_num_queries
):
    """No enumeration: page, status, hashes, queries, number of mails, and what is kept."""
    seen = []
    for address in (ALICE, NOBODY):
        flow = begin_flow()
        mail.outbox.clear()
        with django_assert_num_queries(1):
            page, calls = hashes(lambda flow=flow, address=address: flow.ask(kind, address))
        kept = {name: type(value) for name, value in flow.private.items()}
        wrong = html(flow.confirm("ABCD-1234")).replace(address, "…")
        resent = html(flow.post("resend")).replace(address, "…")
        seen.append(
            (page.status, html(page).replace(address, "…"), calls, kept, len(mail.outbox), wrong, resent)
        )
    assert seen[0] == seen[1]
    assert seen[0][2] == 1


@pytest.mark.parametrize(("kind", "address"), [("register", ALICE), ("change", NOBODY)])
def test_a_mail_that_opens_nothing_holds_no_code(flow, alice, kind, address):
    flow.ask(kind, address)
    assert mail.outbox[0].to == [address]
    assert not CODE.search(mail.outbox[0].body)
    assert "account" in mail.outbox[0].body


@pytest.mark.parametrize(("kind", "address"), [("register", ALICE), ("change", NOBODY)])
def test_where_no_code_was_mailed_no_code_is_right(flow, alice, monkeypatch, kind, address):
    """Not even the one that would have been mailed."""
    monkeypatch.setattr(module.secrets, "choice", lambda alphabet: alphabet[10])
    flow.ask(kind, address)
    assert isinstance(flow.confirm("AAAA-AAAA"), Page)
    flow.ask(kind, {ALICE: NOBODY, NOBODY: ALICE}[address])
    assert isinstance(flow.confirm("AAAA-AAAA"), Success)


@pytest.mark.parametrize("kind", ["register", "change"])
def test_the_mail_names_the_site_and_no_stranger(flow, kind, alice):
    """What a client calls itself must not travel to third persons under our name."""
    for address in (ALICE, NOBODY):
        flow.ask(kind, address)
    for each in mail.outbox:
        assert "auth.example" in each.subject
        assert "Reader" not in each.subject + each.body
        assert "&" not in each.subject + each.body
        assert "\n" not in each.subject
        assert each.extra_headers["Auto-Submitted"] == "auto-generated"


def test_the_validators_of_the_site_are_heard(flow):
    page, calls = hashes(lambda: flow.ask("register", "staple-gun@example.org", "staple-gun"))
    assert "password" in errors_of(page)
    assert (calls, len(mail.outbox)) == (0, 0)


def test_the_validators_know_the_typed_address_and_no_accounts_data(flow, alice):
    """The answer to "too similar to your name" would tell the name."""
    alice.first_name = "staple-gun-and-paper"
    alice.save()
    assert flow.ask("change", ALICE).template == "django_lazyauth/password/code.html"


@pytest.mark.parametrize(
    "bad",
    [
        "no address",
        "@example.org",
        "a@",
        "a@localhost",
        "a@[127.0.0.1]",
        "a@[::1]",
        '"a b"@example.org',
        '"ab"@example.org',
        "a@example.org\r\nBcc: victim@example.org",
        "a@example.org\nX: y",
        "a\r\n@example.org",
        "a@exa\nmple.org",
        "a@b@example.org",
        "a,b@example.org",
        "a@example.org,victim@example.org",
        "<a@example.org>",
        "a@example.org.",
        "ali\u212ae@example.org",
        "ali\u017fe@example.org",
        "ﬁrst@example.org",
        "a@" + "x" * 64 + ".org",
        "a@.org",
        "x" * 65 + "@example.org",
        "a@" + "x." * 130 + "org",
        "a@" + "ü" * 200_000,
        "\x00@example.org",
        "a@exam\x00ple.org",
        "\ud800@example.org",
        "a@\ud800.org",
    ],
)
@pytest.mark.parametrize("kind", ["register", "change"])
def test_an_address_that_is_none_is_an_error_of_the_form(flow, kind, bad):
    """I18, and no header is injected: nothing is mailed."""
    page = post_raw(flow, kind, email=bad, password=NEW)
    assert "email" in errors_of(page)
    assert not mail.outbox


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("Alice@Example.ORG", "alice@example.org"),
        ("  a+b@example.org ", "a+b@example.org"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
        ("a@\uff45xample.org", "a@example.org"),
    ],
)
def test_an_address_has_one_spelling_and_mail_goes_to_it(flow, typed, normal):
    """I5, RFC 5891: whoever answers the mail controls the subject, whatever was typed."""
    flow.ask("register", typed)
    assert mail.outbox[0].to == [normal]
    assert flow.confirm().identity.subject == normal


def test_pre_registering_a_victim_gives_nothing_without_the_victims_mailbox(begin_flow):
    """Threat model, callback: the attacker registers the victim's address first."""
    attacker, victim = begin_flow(), begin_flow()
    attacker.ask("register", ALICE, "the-attackers-choice")
    victim.ask("register", ALICE, NEW)
    code = mailed_code()
    assert isinstance(attacker.confirm(code), Page)
    success = victim.confirm(code)
    assert check_password(NEW, success.commit["password_hash"])


def test_a_code_confirms_the_address_it_went_to_and_no_later_one(flow):
    flow.ask("register", "attacker@example.org")
    code = mailed_code()
    flow.ask("register", ALICE)
    assert isinstance(flow.confirm(code), Page)


def test_a_code_confirms_what_it_was_asked_for(flow, alice):
    flow.ask("change", ALICE)
    code = mailed_code()
    flow.private = {**flow.private, "kind": "register"}
    assert isinstance(flow.confirm(code), Page)


def test_a_failing_mail_server_says_nothing_about_the_address(begin_flow, alice, settings, caplog):
    """No oracle, and I13: the log names nobody."""
    for name, value in mail_settings(f"{__name__}.BrokenMail").items():
        setattr(settings, name, value)
    for kind in ("register", "change"):
        for address in (ALICE, NOBODY):
            with pytest.raises(ProviderUnavailable) as caught:
                begin_flow().ask(kind, address)
            assert (caught.value.reason, caught.value.debug) == ("mail", "OSError")
    assert "OSError" in caplog.text
    assert "@" not in caplog.text


class RefusingMail(BaseEmailBackend):
    """A server that answers RCPT TO with a code of the test's."""

    reply: ClassVar[Exception]

    def send_messages(self, messages):
        raise self.reply


def refused(code, text=b"5.1.1 no such user"):
    return smtplib.SMTPRecipientsRefused({NOBODY: (code, text)})


@pytest.fixture
def mail_server(settings):
    def answer(reply):
        RefusingMail.reply = reply
        for name, value in mail_settings(f"{__name__}.RefusingMail").items():
            setattr(settings, name, value)

    return answer


@pytest.mark.parametrize("reply", [refused(550), refused(553), smtplib.SMTPDataError(550, b"5.1.1 unknown")])
@pytest.mark.parametrize("kind", ["register", "change"])
def test_an_address_that_the_mail_server_refuses_is_an_error_of_its_field(
    begin_flow, alice, mail_server, caplog, kind, reply
):
    """RFC 5321 §3.3; the same for an address that is registered. The log names nobody."""
    mail_server(reply)
    pages = set()
    for address in (ALICE, NOBODY):
        page = begin_flow().ask(kind, address)
        assert errors_of(page) == {"email": [str(module.ADDRESS_REFUSED)]}
        pages.add(html(page).replace(address, "…"))
    assert len(pages) == 1
    assert "@" not in caplog.text


@pytest.mark.parametrize(
    "reply",
    [
        refused(450, b"4.2.1 greylisted"),
        refused(421),
        smtplib.SMTPDataError(554, b"5.7.1 spam"),
        smtplib.SMTPSenderRefused(550, b"5.7.1", "us@auth.example"),
        smtplib.SMTPServerDisconnected(),
        smtplib.SMTPAuthenticationError(535, b"5.7.8"),
        TimeoutError(),
    ],
)
def test_a_mail_server_that_takes_no_mail_now_says_nothing_about_the_address(flow, mail_server, reply):
    """RFC 5321 §4.2.1: 4xx may succeed later; the others are ours to repair."""
    mail_server(reply)
    with pytest.raises(ProviderUnavailable, match="mail"):
        flow.ask("register")


def test_an_address_that_is_refused_for_another_mail_is_said_on_the_page_of_the_code(flow, mail_server):
    flow.ask("register")
    mail_server(refused(550))
    assert str(flow.post("resend").context["alert"]) == str(module.ADDRESS_REFUSED)
    assert isinstance(flow.confirm(), Success)


# -- the code --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typing",
    [
        str.lower,
        lambda code: code.replace("-", ""),
        lambda code: f" {code.replace('-', ' - ')} ",
        lambda code: code.replace("0", "O").replace("1", "l"),
    ],
)
def test_a_code_forgives_how_it_is_typed(flow, typing):
    flow.ask("register")
    assert isinstance(flow.confirm(typing(mailed_code())), Success)


@pytest.mark.parametrize(
    "bad", ["", "ABCD", "ABCD-12345", "ABCD-123U", "\x00", "\ud800", "ABCD-123é", "٣٣٣٣٣٣٣٣", "A" * 1_000_000]
)
def test_a_malformed_code_is_an_error_of_the_form_and_no_guess(flow, bad):
    """I18."""
    flow.ask("register")
    assert "code" in errors_of(post_raw(flow, "verify", code=bad))
    assert flow.private["attempts"] == 0


def test_five_wrong_codes_end_the_code(flow):
    flow.ask("register")
    pages = {html(flow.confirm("ABCD-1234")) for _ in range(5)}
    assert pages == {html(flow.confirm())}


def test_parallel_guesses_share_five_attempts(flow):
    """All of them carry the same sealed count; the shared counter is what stops them."""
    flow.ask("register")
    code, private = mailed_code(), flow.private

    def guess(typed):
        request = RequestFactory().post(FLOW_URL, {"action": "verify", "code": typed})
        return flow.provider.complete(request, flow.pending, dict(private))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(guess, ["ABCD-1234"] * 5))
    assert isinstance(guess(code), Page)


def test_without_a_cache_the_sealed_count_still_ends_the_code(flow, settings):
    flow.ask("register")
    settings.CACHES = {"default": {"BACKEND": "tests.kit.test_throttle.BrokenCache"}}
    for _ in range(5):
        flow.confirm("ABCD-1234")
    assert isinstance(flow.confirm(), Page)


@pytest.mark.parametrize(("age", "outcome"), [(14 * 60, Success), (15 * 60 + 1, Page)])
def test_a_code_is_good_for_fifteen_minutes(flow, age, outcome):
    flow.ask("register")
    flow.private["sent_at"] -= age
    assert isinstance(flow.confirm(), outcome)


def test_a_new_code_replaces_the_old_one(flow):
    flow.ask("register")
    old = mailed_code()
    flow.post("resend")
    assert isinstance(flow.confirm(old), Page)
    assert isinstance(flow.confirm(), Success)


def test_a_code_is_no_use_in_another_flow(begin_flow):
    first, second = begin_flow(), begin_flow()
    first.ask("register")
    code = mailed_code()
    second.private = dict(first.private)
    assert isinstance(second.confirm(code), Page)


def test_a_flow_sends_three_mails(flow):
    flow.ask("register", "one@example.org")
    flow.ask("change", "two@example.org")
    page = flow.post("resend")
    assert not page.context["can_resend"]
    assert str(flow.post("resend").context["alert"]) == str(module.NO_MORE_MAILS)
    assert str(flow.ask("register", "three@example.org").context["alert"]) == str(module.NO_MORE_MAILS)
    assert len(mail.outbox) == 3


def test_beginning_again_brings_no_new_mails(flow):
    for _ in range(5):
        flow.private = flow.provider.begin(flow.pending, state="s", callback_uri="").private
        flow.ask("register")
    assert len(mail.outbox) == 3


@pytest.mark.parametrize("address", [ALICE, NOBODY])
def test_an_address_gets_five_mails_an_hour_and_the_page_does_not_tell(begin_flow, alice, address):
    """Nobody's mailbox is flooded through us."""
    pages = {html(begin_flow().ask("register", address)) for _ in range(8)}
    assert len(pages) == 1
    assert len(mail.outbox) == 5


def test_a_mail_that_was_not_sent_leaves_the_last_code_good(begin_flow):
    for _ in range(4):
        begin_flow().ask("register")
    flow = begin_flow()
    flow.ask("register")
    flow.post("resend")
    assert len(mail.outbox) == 5
    assert isinstance(flow.confirm(), Success)


def test_a_code_is_forty_random_bits_and_kept_as_a_digest(flow):
    flow.ask("register")
    code = mailed_code()
    assert len(code.replace("-", "")) == 8
    assert re.fullmatch(r"[0-9a-f]{64}", flow.private["code_digest"])
    assert code.replace("-", "") not in json.dumps(flow.private)


def test_no_page_holds_what_is_kept_for_the_flow(flow):
    """The digest and the hash never reach the browser."""
    page = html(flow.ask("register"))
    assert flow.private["code_digest"] not in page
    assert flow.private["password_hash"] not in page


# -- change a password -----------------------------------------------------------------------------------


def test_a_password_is_changed_by_who_has_the_mailbox(flow, alice):
    flow.ask("change", ALICE)
    success = flow.confirm()
    assert success.identity.subject == ALICE
    assert success.commit["kind"] == "change"
    assert success.amr == ("pwd", "otp")
    alice.refresh_from_db()
    assert alice.check_password(OLD)  # I4: nothing is written before the flow does.
    flow.provider.finalize(success.commit, user=alice, session_id=flow.pending.pk)
    assert get_user_model().objects.get(pk=alice.pk).check_password(NEW)


def test_an_equal_e_mail_without_an_identity_here_changes_nothing(flow):
    """I6: neither a user of the site nor another provider's identity is reached by its e-mail."""
    bob = get_user_model().objects.create_user("bob", "bob@example.org", OLD)
    ProviderIdentity.objects.create(
        user=bob, provider="google", subject="bob@example.org", email="bob@example.org", email_verified=True
    )
    ProviderIdentity.objects.create(
        user=bob, provider="password", subject="b@example.org", email="bob@example.org"
    )
    flow.ask("change", "bob@example.org")
    assert not CODE.search(mail.outbox[0].body)


@pytest.mark.parametrize("values", [{"is_active": False}, {"password": "!unusable"}, {"password": ""}])
def test_a_deactivated_or_passwordless_user_gets_no_code(flow, alice, values):
    get_user_model().objects.update(**values)
    flow.ask("change", ALICE)
    assert not CODE.search(mail.outbox[0].body)


# -- finalize --------------------------------------------------------------------------------------------


def commit(kind, password=NEW):
    return {"kind": kind, "email": ALICE, "password_hash": make_password(password)}


@pytest.fixture
def new_user():
    user = get_user_model()(username="new")
    user.set_unusable_password()
    user.save()
    return user


@pytest.mark.parametrize("blank", ["", "!unusable"])
def test_a_registration_sets_the_first_password_with_one_update(
    flow, new_user, blank, django_assert_num_queries
):
    """I3."""
    get_user_model().objects.update(password=blank)
    new_user.refresh_from_db()
    with django_assert_num_queries(1):
        flow.provider.finalize(commit("register"), user=new_user, session_id=flow.pending.pk)
    assert new_user.check_password(NEW)
    assert get_user_model().objects.get().check_password(NEW)


def test_a_registration_never_replaces_a_password(flow, alice):
    """I3: the identity existed by then, with somebody's password."""
    with pytest.raises(RegistrationRefused) as caught:
        flow.provider.finalize(commit("register"), user=alice, session_id=flow.pending.pk)
    assert caught.value.description
    assert get_user_model().objects.get().check_password(OLD)


def test_of_two_registrations_that_read_the_same_user_one_wins(flow, new_user):
    """I3: compared and swapped in the database."""
    stale = get_user_model().objects.get()
    flow.provider.finalize(commit("register"), user=new_user, session_id=flow.pending.pk)
    with pytest.raises(RegistrationRefused):
        flow.provider.finalize(commit("register", OLD), user=stale, session_id=flow.pending.pk)
    assert get_user_model().objects.get().check_password(NEW)


def test_a_retry_of_the_same_registration_succeeds(flow, new_user):
    """I3: the exchange rolled back, or its answer was lost."""
    again = commit("register")
    for _ in range(2):
        flow.provider.finalize(again, user=new_user, session_id=flow.pending.pk)
    assert get_user_model().objects.get().check_password(NEW)


def test_a_change_never_makes_a_new_users_first_password(flow, new_user):
    """The account was deleted meanwhile, and the exchange would write another one."""
    with pytest.raises(RegistrationRefused):
        flow.provider.finalize(commit("change"), user=new_user, session_id=flow.pending.pk)
    assert not get_user_model().objects.get().has_usable_password()


def test_a_change_of_a_user_who_is_gone_or_deactivated_is_refused(flow, alice):
    alice.is_active = False
    with pytest.raises(RegistrationRefused):
        flow.provider.finalize(commit("change"), user=alice, session_id=flow.pending.pk)
    alice.is_active = True
    get_user_model().objects.all().delete()
    with pytest.raises(RegistrationRefused):
        flow.provider.finalize(commit("change"), user=alice, session_id=flow.pending.pk)


@pytest.mark.parametrize("kind", ["register", "change"])
def test_what_is_no_hash_is_never_written(flow, alice, new_user, kind):
    """I13: no password in clear, whoever built the commit."""
    user = new_user if kind == "register" else alice
    with pytest.raises(ValueError, match=r"."):
        flow.provider.finalize(
            {"kind": kind, "email": ALICE, "password_hash": NEW}, user=user, session_id=flow.pending.pk
        )
    assert not get_user_model().objects.filter(password=NEW).exists()


def test_an_unknown_commit_is_refused(flow, new_user):
    with pytest.raises(ValueError, match="unknown kind"):
        flow.provider.finalize(commit("grant"), user=new_user, session_id=flow.pending.pk)


# -- secrets ---------------------------------------------------------------------------------------------


def test_a_password_appears_in_no_mail_no_kept_state_no_page_and_no_log(begin_flow, alice, caplog):
    """I13."""
    caplog.set_level(logging.DEBUG)
    kept, pages = [], []
    for address in (ALICE, NOBODY):
        for action in ("sign_in", "register", "change"):
            flow = begin_flow()
            pages.append(html(flow.post(action, email=address, password=NEW)))
            kept.append(json.dumps(flow.private))
            pages.append(html(flow.post("resend")))
            if flow.private:
                pages.append(html(flow.confirm("ABCD-1234")))
                kept.append(json.dumps(flow.private))
    mails = [str(each.message()) for each in mail.outbox]
    assert len(mails) == 8  # Two addresses, two kinds, each asked for and sent again.
    assert NEW not in "\n".join([*kept, *pages, *mails, caplog.text])


def test_an_error_report_hides_what_was_posted(flow, monkeypatch):
    """I13: the report that Django mails to the admins of a site shows POST data and local variables."""

    def fail(*args):
        raise RuntimeError("down")

    monkeypatch.setattr(PasswordProvider, "_identity", fail)
    request = RequestFactory().post(FLOW_URL, {"action": "sign_in", "email": ALICE, "password": OLD})
    with pytest.raises(RuntimeError) as caught:
        flow.provider.complete(request, flow.pending, {})
    reporter = ExceptionReporter(request, caught.type, caught.value, caught.value.__traceback__)
    report = reporter.get_traceback_html() + reporter.get_traceback_text()
    assert "_authenticate" in report
    assert OLD not in report
