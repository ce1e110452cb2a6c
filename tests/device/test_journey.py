"""Spec 8.2: a device without a browser, from its codes to its tokens (RFC 8628)."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone
from oauth2_provider.models import get_application_model

from django_lazyauth.models import (
    Consent,
    DeferredRegistration,
    DeviceAuthorization,
    DeviceStatus,
    PendingAuthorization,
    ProviderIdentity,
    SealedSuccessor,
    Status,
)
from django_lazyauth.signals import user_registered
from tests.conftest import register
from tests.support.devices import (
    CLIENT_ID,
    DEVICE_CODE,
    answer,
    ask,
    claim,
    codes,
    connect,
    enter,
    poll,
    sign_in,
    wait_for_poll,
)
from tests.support.journey import code_for, get, make_browser, post, post_form, query_of, submit

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("television")]

User = get_user_model()


def test_a_device_gets_both_codes_and_the_address_of_the_page():
    """RFC 8628 §3.2."""
    answered = ask()
    assert answered.status_code == 200
    assert answered.headers["Cache-Control"] == "no-store"
    asked = answered.json()
    assert set(asked) == {
        *("device_code", "user_code", "verification_uri", "verification_uri_complete"),
        *("expires_in", "interval"),
    }
    assert len(asked["device_code"]) >= 43
    assert len(asked["user_code"]) == 9
    assert asked["user_code"][4] == "-"
    assert asked["verification_uri"] == "https://auth.example/device"
    assert asked["verification_uri_complete"] == f"https://auth.example/device?user_code={asked['user_code']}"
    assert (asked["expires_in"], asked["interval"]) == (600, 5)


def test_only_digests_of_the_codes_are_kept():
    """THREAT_MODEL, storage: of a copy of the table no code can be read."""
    asked = codes()
    row = DeviceAuthorization.objects.get()
    text = " ".join(str(getattr(row, field.attname)) for field in row._meta.fields)
    assert asked["device_code"] not in text
    assert asked["user_code"] not in text
    assert asked["user_code"].replace("-", "") not in text


def test_a_lazy_new_person_is_written_when_the_device_redeems_its_code():
    """I3, I4: nothing of a person stands before."""
    asked, browser = codes(), make_browser()
    done = answer(browser, asked)
    assert urlsplit(done.headers["Location"]).path == "/device/done"
    assert "Go back to your device" in get(browser, done.headers["Location"]).content.decode()
    assert User.objects.count() == ProviderIdentity.objects.count() == Consent.objects.count() == 0
    tokens = poll(asked)
    assert tokens.status_code == 200, tokens.content
    body = tokens.json()
    assert {"access_token", "refresh_token", "id_token"} <= set(body)
    assert body["scope"].split() == ["openid", "profile", "email"]
    assert User.objects.count() == ProviderIdentity.objects.count() == Consent.objects.count() == 1
    pending = PendingAuthorization.objects.get()
    assert (pending.status, pending.grant) == (Status.EXCHANGED, "device")
    assert DeviceAuthorization.objects.get().status == DeviceStatus.REDEEMED


def test_the_tokens_of_a_device_are_refreshed_and_used_like_any():
    body = connect()
    userinfo = get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {body['access_token']}"})
    assert userinfo.status_code == 200
    refreshed = post_form(
        make_browser(),
        "/token",
        {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "client_id": CLIENT_ID},
    )
    assert refreshed.status_code == 200, refreshed.content


def test_a_device_that_never_comes_leaves_no_user():
    """I4."""
    answer(make_browser(), codes())
    later = timezone.now() - timedelta(hours=1)
    DeviceAuthorization.objects.update(expires_at=later)
    PendingAuthorization.objects.update(expires_at=later)
    call_command("sweep_lazyauth", verbosity=0)
    assert not DeviceAuthorization.objects.exists()
    assert not DeferredRegistration.objects.exists()
    assert not User.objects.exists()


def test_a_person_who_is_signed_in_here_goes_on_as_who_they_are():
    """Spec 8.2: SSO as in spec 1, and still the page that shows the code, and consent."""
    browser = make_browser()
    connect(browser=browser)
    asked = codes()
    page = claim(browser, asked)
    assert "Continue as" in page.content.decode()
    consent = get(browser, submit(browser, page, account="current").headers["Location"])
    assert "Allow access?" in consent.content.decode()
    assert submit(browser, consent, decision="allow").status_code == 303
    assert poll(asked).status_code == 200
    assert User.objects.count() == 1


@pytest.mark.parametrize("skips", [False, True], ids=["remembered", "waived"])
def test_consent_is_always_asked(skips):
    """Spec 8.2: also where it was given before, and where the operator's client needs none."""
    get_application_model().objects.update(skip_authorization=skips)
    browser = make_browser()
    connect(browser=browser)
    asked = codes()
    page = claim(browser, asked)
    consent = submit(browser, page, account="current")
    assert consent.headers["Location"].startswith("/authorize/")
    assert poll(asked).json()["error"] == "authorization_pending"
    assert "Allow access?" in get(browser, consent.headers["Location"]).content.decode()


def test_claim_and_consent_show_what_to_compare():
    """RFC 8628 §5.4: code, client, when and from where, and a warning where that is another network."""
    asked, browser = codes(address="198.51.100.9"), make_browser()
    page = claim(browser, asked)
    consent = sign_in(browser, page)
    for shown in (page, consent):
        text = " ".join(BeautifulSoup(shown.content, "html.parser").get_text(" ").split())
        assert asked["user_code"] in text
        assert "Television" in text
        assert f" {timezone.localtime():%Z} from the network 198.51.100.0/24" in text
        assert "another network than this browser" in text
        assert "only if you started this yourself, on a device that you can see" in text


def test_no_warning_of_another_network_where_it_is_the_same():
    page = claim(make_browser(), codes(address="127.0.0.1"))
    assert "another network than this browser" not in page.content.decode()


def test_allow_is_not_the_default_button():
    """Spec 8.2: the first button of a form is the one that the Return key presses."""
    browser = make_browser()
    consent = sign_in(browser, claim(browser, codes()))
    buttons = BeautifulSoup(consent.content, "html.parser").find_all("button", {"name": "decision"})
    assert [button["value"] for button in buttons] == ["other", "deny", "allow"]
    assert "lazyauth-primary" not in buttons[-1].get("class", [])


def test_deny_ends_it_for_the_device():
    """RFC 8628 §3.5, access_denied."""
    asked = codes()
    done = answer(make_browser(), asked, decision="deny")
    assert query_of(done.headers["Location"])["error"] == "access_denied"
    refused = poll(asked)
    assert (refused.status_code, refused.json()["error"]) == (400, "access_denied")
    assert User.objects.count() == 0
    row = DeviceAuthorization.objects.get()
    assert (row.status, row.user_digest) == (DeviceStatus.DENIED, None)


def test_a_code_that_is_too_old_is_told_so():
    """RFC 8628 §3.5, expired_token, before and after the person allowed it."""
    asked = codes()
    DeviceAuthorization.objects.update(expires_at=timezone.now())
    assert poll(asked).json()["error"] == "expired_token"
    asked = codes()
    answer(make_browser(), asked)
    DeviceAuthorization.objects.update(expires_at=timezone.now())
    PendingAuthorization.objects.update(code_expires_at=timezone.now())
    assert poll(asked).json()["error"] == "expired_token"
    assert User.objects.count() == 0


def test_who_takes_too_long_cannot_allow_an_expired_device():
    asked, browser = codes(), make_browser()
    consent = sign_in(browser, claim(browser, asked))
    DeviceAuthorization.objects.update(expires_at=timezone.now())
    late = submit(browser, consent, decision="allow")
    assert late.status_code == 400
    assert "too old" in late.content.decode()
    assert PendingAuthorization.objects.get().status == Status.AUTHENTICATED


@pytest.mark.parametrize("code", ["x" * 43, "x" * 5000])
def test_an_unknown_device_code_is_no_grant(code):
    refused = poll(code)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


def test_another_client_gets_nothing_for_the_code():
    """RFC 6749 §5.2. And it ends nothing."""
    register(client_id="other-tv", authorization_grant_type=DEVICE_CODE, redirect_uris="")
    asked = codes()
    assert poll(asked, "other-tv").json()["error"] == "invalid_grant"
    answer(make_browser(), asked)
    assert poll(asked, "other-tv").json()["error"] == "invalid_grant"
    assert poll(asked).status_code == 200


def test_a_device_code_is_no_authorization_code_and_the_other_way_round(application, client_):
    """No PKCE by omission: each is good for its own grant."""
    asked = codes()
    answer(make_browser(), asked)
    form = client_.token_form(asked["device_code"], client_id=CLIENT_ID)
    assert post_form(make_browser(), "/token", form).json()["error"] in (
        "invalid_grant",
        "unauthorized_client",
    )
    code = code_for(client_)
    assert poll(code).json()["error"] == "invalid_grant"
    assert poll(asked).status_code == 200


def test_polling_each_second_is_slowed_to_sixty_seconds():
    """RFC 8628 §3.5, slow_down."""
    asked = codes()
    assert poll(asked).json()["error"] == "authorization_pending"
    seen = []
    for _ in range(15):
        row = DeviceAuthorization.objects.get()
        # A second passes.
        DeviceAuthorization.objects.update(next_poll_at=row.next_poll_at - timedelta(seconds=1))
        seen.append(poll(asked).json()["error"])
    assert set(seen) == {"slow_down"}
    row = DeviceAuthorization.objects.get()
    assert row.interval == 60
    assert row.next_poll_at - timezone.now() > timedelta(seconds=58)
    wait_for_poll()
    assert poll(asked).json()["error"] == "authorization_pending"


def test_a_second_too_soon_is_not_too_soon():
    asked = codes()
    assert poll(asked).json()["error"] == "authorization_pending"
    DeviceAuthorization.objects.update(next_poll_at=timezone.now() + timedelta(seconds=0.9))
    assert poll(asked).json()["error"] == "authorization_pending"
    assert DeviceAuthorization.objects.get().interval == 5


def test_an_answer_that_was_lost_is_given_again():
    """Spec 6, the grace: the same bytes for the same code."""
    asked = codes()
    answer(make_browser(), asked)
    first, second = poll(asked), poll(asked)
    assert first.status_code == second.status_code == 200
    assert first.content == second.content


def test_a_code_that_comes_after_the_grace_ends_the_session():
    """I2."""
    asked = codes()
    answer(make_browser(), asked)
    body = poll(asked).json()
    long_ago = timezone.now() - timedelta(minutes=1)
    PendingAuthorization.objects.update(exchanged_at=long_ago)
    SealedSuccessor.objects.update(created_at=long_ago, expires_at=timezone.now() - timedelta(seconds=1))
    assert poll(asked).json()["error"] == "invalid_grant"
    refused = post_form(
        make_browser(),
        "/token",
        {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "client_id": CLIENT_ID},
    )
    assert refused.json()["error"] == "invalid_grant"


def test_a_fault_leaves_the_code_redeemable():
    """Spec 8.2: server_error, and the next poll may succeed."""
    asked = codes()
    answer(make_browser(), asked)

    def receiver(sender, **kwargs):
        raise RuntimeError("the host's receiver failed")

    user_registered.connect(receiver)
    try:
        failed = poll(asked)
    finally:
        user_registered.disconnect(receiver)
    assert (failed.status_code, failed.json()["error"]) == (500, "server_error")
    assert not User.objects.exists()
    assert PendingAuthorization.objects.get().failed_attempts == 1
    assert poll(asked).status_code == 200


def test_get_writes_reveals_and_submits_nothing():
    """I23: a link with a code in it fills in the form, and no more."""
    asked = codes()
    before = DeviceAuthorization.objects.values().get()
    page = get(
        make_browser(), urlsplit(asked["verification_uri_complete"])._replace(scheme="", netloc="").geturl()
    )
    text = page.content.decode()
    assert page.status_code == 200
    assert asked["user_code"] in text
    assert "Television" not in text
    assert DeviceAuthorization.objects.values().get() == before
    assert not PendingAuthorization.objects.exists()
    # A code that does not exist looks the same.
    other = get(make_browser(), "/device?user_code=BBBB-BBBB").content.decode()
    assert BeautifulSoup(other, "html.parser").get_text() == BeautifulSoup(text, "html.parser").get_text()


def test_a_form_of_another_browser_claims_nothing():
    """I7: a page elsewhere cannot post a code into somebody's browser."""
    asked = codes()
    page = get(make_browser(), "/device")
    victim = make_browser()
    get(victim, "/device")
    refused = submit(victim, page, user_code=asked["user_code"])
    assert refused.status_code == 400
    assert post(make_browser(), "/device", {"user_code": asked["user_code"]}).status_code == 400
    assert DeviceAuthorization.objects.get().status == DeviceStatus.WAITING


@pytest.mark.parametrize(
    "write",
    [
        str.lower,
        lambda code: code.replace("-", ""),
        lambda code: f"  {code.replace('-', ' ')} ",
        lambda code: code.replace("-", "\u2013"),
    ],
    ids=["lower", "no-dash", "blanks", "en-dash"],
)
def test_a_code_is_read_as_people_type_it(write):
    """RFC 8628 §6.1."""
    assert enter(make_browser(), write(codes()["user_code"])).status_code == 303


def test_two_browsers_claim_one_code_and_one_has_it():
    """I7."""
    asked = codes()
    first, second = make_browser(), make_browser()
    assert enter(first, asked["user_code"]).status_code == 303
    late = enter(second, asked["user_code"])
    assert late.status_code == 200
    assert "in use in another browser" in late.content.decode()
    assert PendingAuthorization.objects.count() == 1


def test_the_same_form_twice_is_one_flow():
    """I23: a double click, whose second answer the browser shows."""
    asked, browser = codes(), make_browser()
    page = get(browser, "/device")
    first = submit(browser, page, user_code=asked["user_code"])
    # The second click was sent before the first answer brought its cookie.
    name = next(name for name in first.cookies)
    del browser.cookies[name]
    second = submit(browser, page, user_code=asked["user_code"])
    assert first.status_code == second.status_code == 303
    assert first.headers["Location"] == second.headers["Location"]
    assert first.cookies[name].value == second.cookies[name].value
    assert get(browser, second.headers["Location"]).status_code == 200


def test_the_same_browser_comes_back_to_its_flow():
    asked, browser = codes(), make_browser()
    first = enter(browser, asked["user_code"])
    again = enter(browser, asked["user_code"])
    assert again.headers["Location"] == first.headers["Location"]


@pytest.mark.parametrize("state", ["unknown", "used", "denied", "expired", "ended"])
def test_codes_that_are_not_good_look_alike(state):
    """Spec 8.2."""
    asked = codes()
    if state == "unknown":
        DeviceAuthorization.objects.all().delete()
    elif state == "expired":
        DeviceAuthorization.objects.update(expires_at=timezone.now())
    elif state == "ended":
        DeviceAuthorization.objects.all().close(DeviceStatus.ENDED)
    else:
        answer(make_browser(), asked, decision="allow" if state == "used" else "deny")
    refused = enter(make_browser(), asked["user_code"])
    assert refused.status_code == 200
    text = BeautifulSoup(refused.content, "html.parser").get_text()
    assert "This code is wrong or too old. Check it on your device." in text


# -- off, and who may --------------------------------------------------------------------------------------


def test_off_is_not_there(lazyauth):
    """Spec 8, first line."""
    lazyauth(DEVICE_FLOW=False)
    assert ask().status_code == 404
    assert get(make_browser(), "/device").status_code == 404
    assert get(make_browser(), "/device/done").status_code == 404
    assert poll("x").json()["error"] == "unsupported_grant_type"
    document = get(make_browser(), "/.well-known/oauth-authorization-server").json()
    assert "device_authorization_endpoint" not in document
    assert DEVICE_CODE not in document["grant_types_supported"]


def test_on_is_in_the_metadata():
    document = get(make_browser(), "/.well-known/oauth-authorization-server").json()
    assert document["device_authorization_endpoint"] == "https://auth.example/device_authorization"
    assert DEVICE_CODE in document["grant_types_supported"]


def test_a_client_without_the_grant_is_refused(application):
    """RFC 6749 §5.2."""
    refused = ask(application.client_id)
    assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")
    assert poll("x", application.client_id).json()["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_id": None}, 401, "invalid_client"),
        ({"scope": "root"}, 400, "invalid_scope"),
        ({"resource": "no uri"}, 400, "invalid_target"),
        ({"max_age": "soon"}, 400, "invalid_request"),
        ({"max_age": "9" * 10}, 400, "invalid_request"),
        ({"acr_values": "x" * 2000}, 400, "invalid_request"),
        ({"scope": ["openid", "email"]}, 400, "invalid_request"),
    ],
    ids=["client", "no-client", "scope", "resource", "max-age", "long-max-age", "acr-values", "repeated"],
)
def test_a_bad_request_is_refused_with_its_reason(form, status, error):
    """RFC 8628 §3.2, RFC 6749 §5.2."""
    refused = ask(**({"client_id": CLIENT_ID} | form))
    assert (refused.status_code, refused.json()["error"]) == (status, error)
    assert not DeviceAuthorization.objects.exists()


@pytest.mark.parametrize("strangers", [False, True])
def test_strangers_only_where_the_operator_says_so(lazyauth, strangers):
    """Spec 8.2: their names are a phisher's tool."""
    lazyauth(DEVICE_FLOW={"strangers": strangers})
    body = {
        "grant_types": [DEVICE_CODE, "refresh_token"],
        "token_endpoint_auth_method": "none",
        "client_name": "TV",
    }
    answered = make_browser().post("/register", body, content_type="application/json", secure=True)
    if not strangers:
        assert (answered.status_code, answered.json()["error"]) == (400, "invalid_client_metadata")
        return
    assert answered.status_code == 201, answered.content
    assert answered.json()["grant_types"] == [DEVICE_CODE, "refresh_token"]
    client_id = answered.json()["client_id"]
    asked, browser = codes(client_id), make_browser()
    page = claim(browser, asked)
    assert "unverified" in page.content.decode()
    assert submit(browser, sign_in(browser, page), decision="allow").status_code == 303
    assert poll(asked, client_id).status_code == 200
    lazyauth(DEVICE_FLOW=True)
    assert ask(client_id).json()["error"] == "unauthorized_client"
