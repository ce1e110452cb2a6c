"""Every page that people see, in one walk of a person.

Nothing is found by its words, because the walk is the same in each language.
"""

from __future__ import annotations

import httpx

from .aged import age_sign_ins, signed_in_often
from .walker import Walker

PASSWORD = "seven-quiet-otters"
#: Where a client is that people only see.
PLANNER = "https://planner.example/cb"
ALLOW, DENY = "button[value=allow]", "button[value=deny]"
SUBMIT = "main form button[type=submit].lazyauth-primary"


def provider(name: str) -> str:
    return f"button[name=provider][value={name}]"


def action(name: str) -> str:
    return f"button[name=action][value={name}]"


def choices(walker: Walker) -> None:
    """The ways to sign in, and what is said where one does not lead on."""
    walker.ask("linked", redirect_uri=PLANNER)
    walker.look("choice-verified")
    walker.ask("unverified")
    walker.look("choice-unverified")
    walker.ask(prompt="create")
    walker.look("choice-create")
    walker.ask()
    walker.look("choice")
    walker.press(provider("down"))
    walker.look("choice-provider-down")
    walker.type(domain=f"ada@{walker.language}.slow.example")
    walker.press("button[value='sso:']")
    walker.look("waiting")
    walker.press("main .lazyauth-actions a:last-child")


def passwords(walker: Walker, address: str) -> None:
    """The password pages, up to the consent page of somebody who registers."""
    walker.ask()
    walker.press(provider("password"))
    walker.look("password-sign-in")
    walker.type(email=address, password="not-this-one")
    walker.press(SUBMIT)
    walker.look("password-wrong")
    walker.press("a[href*='step=change']")
    walker.look("password-change")
    walker.press("a[href*='step=sign_in']")
    walker.press("a[href*='step=register']")
    walker.look("password-register")
    walker.type(email=address, password="12345")
    walker.press(SUBMIT)
    walker.look("password-refused")
    walker.type(email=address, name="Ada Lovelace", password=PASSWORD)
    walker.press(SUBMIT)
    walker.look("password-code")
    walker.press("form:has(input[value=resend]) button")
    walker.look("password-code-again")
    walker.type(code="0000-0000")
    walker.press(SUBMIT)
    walker.look("password-code-wrong")
    walker.type(code=walker.site.code_for(address))
    walker.press(SUBMIT)


def locked_out(walker: Walker) -> None:
    """Ten wrong passwords in a row."""
    walker.ask()
    walker.press(provider("password"))
    token = walker.page.locator("main form input[name=form_token]").get_attribute("value")
    typed = {"email": f"locked-{walker.language}@mail.example", "password": "not-this-one"}
    for _ in range(10):
        # The page is the same each time. Only the eleventh is looked at.
        form = {"form_token": token, "action": "sign_in", **typed}
        walker.person.context.request.post(walker.page.url, form=form)
    walker.type(**typed)
    walker.press(SUBMIT)
    walker.look("password-locked")


def first_consent(walker: Walker) -> None:
    """Allow it, open the page again, and press the button of a tab that was left open."""
    walker.look("consent")
    place = walker.page.url
    left = walker.person.context.new_page()
    left.goto(place)
    walker.press(ALLOW)
    walker.redeem()
    walker.page.goto(place)
    walker.look("error-refused", status=400)
    with left.expect_navigation():
        left.locator(ALLOW).click()
    first, walker.page = walker.page, left
    walker.look("answered")
    walker.page = first
    left.close()


def more_consents(walker: Walker) -> None:
    """What weighs more, for which resource, who asks, and what is new of it."""
    asked = {"scope": "openid profile notes.read", "resource": f"{walker.site.url}/api/whoami"}
    walker.ask("unverified", **asked)
    walker.look("consent-unverified")
    walker.press(ALLOW)
    walker.redeem()
    walker.ask("unverified", **{**asked, "scope": "openid profile email notes.read notes.delete"})
    walker.look("consent-extended")
    walker.press(DENY)
    elsewhere = "https://maps-and-tiles.geo-services.example/api/v1/tiles?layer=relief"
    walker.ask("linked", redirect_uri=PLANNER, scope="openid notes.read notes.delete", resource=elsewhere)
    walker.look("consent-verified")
    walker.ask(prompt="select_account")
    walker.look("choice-account")
    walker.press("button[name=account]")


def device(walker: Walker, *, answer: str) -> None:
    """A device in another network asks, and the person types its code."""
    form = {"client_id": "device", "scope": "openid profile"}
    address = {"X-Forwarded-For": "203.0.113.7"}
    asked = httpx.post(
        f"{walker.site.url}/device_authorization", data=form, headers=address, trust_env=False
    ).json()
    walker.open("/device")
    if answer == "allow":
        walker.look("device")
        walker.type(user_code="WDJB-MJHT")
        walker.press("main form button")
        walker.look("device-wrong")
    walker.type(user_code=asked["user_code"])
    walker.press("main form button")
    if answer == "allow":
        walker.look("device-choice")
    walker.press("button[name=account]")
    if answer == "allow":
        walker.look("device-consent")
    walker.press(f"button[value={answer}]")
    walker.look(f"device-{answer}")


def old_account(walker: Walker, address: str) -> None:
    """The account page of somebody who has more sessions than a page holds, and signed in an hour ago."""
    with signed_in_often(walker.site, 60):
        walker.open("/account/sessions?page=2")
        walker.look("account-page", begins=False)
    age_sign_ins(walker.site)
    walker.open("/account/sessions")
    walker.press("a[href='#ways']")
    walker.look("account-older", begins=False)
    walker.press(f"#ways {action('password')}")
    walker.look("account-password-older")
    walker.type(current="not-this-one", password=PASSWORD)
    walker.press(action("password"))
    walker.look("account-password-wrong")
    walker.ask(prompt="login")
    walker.press(provider("password"))
    walker.type(email=address, password=PASSWORD)
    walker.press(SUBMIT)
    walker.redeem()


def linking(walker: Walker) -> None:
    """Connect a provider: the page where that does not work, and what the account page says afterwards."""
    walker.open("/account/sessions")
    walker.press("a[href='#ways']")
    walker.press(provider("down"))
    walker.look("link-provider-down")
    walker.press("a[href*='/account/']")
    walker.press("a[href='#ways']")
    walker.press(provider("demo"))
    walker.sign_in_upstream()
    walker.look("account-linked", begins=False)
    walker.ask(prompt="login")
    walker.press(provider("demo"))
    walker.sign_in_upstream()
    walker.redeem()


SECTIONS = ("ways", "applications", "upstreams", "data")
ENDINGS = {"sessions": ("end", "end_all"), "applications": ("withdraw",), "ways": ("unlink",)}


def account(walker: Walker) -> None:
    """Its five sections, what is asked before something ends, and what is said afterwards."""
    walker.open("/account/sessions")
    walker.look("account", begins=False)
    for section in SECTIONS:
        walker.press(f"a[href='#{section}']")
        walker.look(f"account-{section}", begins=False)
    walker.reach(action("export"))
    with walker.page.expect_download() as download:
        walker.page.keyboard.press("Enter")
    assert download.value.suggested_filename == "account.json"
    walker.open("/account/sessions#ways")
    walker.press(f"#ways {action('password')}")
    walker.look("account-password")
    walker.type(password="12345")
    walker.press(action("password"))
    walker.look("account-password-refused")
    for section, acts in ENDINGS.items():
        for act in acts:
            walker.open("/account/sessions")
            walker.press(f"a[href='#{section}']")
            # The last of several: who disconnects what they signed in with is signed out.
            walker.press(f"#{section} li:last-child {action(act)}, #{section} > form {action(act)}")
            walker.look(f"account-{act}")
            walker.press(action(act))
            walker.look(f"account-{act}-done", begins=False)


def signing_out(walker: Walker) -> None:
    walker.open("/logout")
    walker.look("sign-out")
    walker.press("button[value=stay]")
    walker.look("still-signed-in")
    walker.open("/logout?client_id=unverified")
    walker.look("sign-out-client")
    walker.press("button[value=leave]")
    walker.look("signed-out")


def errors(walker: Walker) -> None:
    """The four kinds; a request that was refused stands in :func:`first_consent`."""
    walker.open("/account/return?error=access_denied")
    walker.look("error-cancelled", status=400)
    walker.ask("https://documents.example/client")
    walker.look("error-try-again", status=503)
    walker.ask(redirect_uri=f"{walker.site.redirect_uri}/elsewhere")
    walker.look("error-set-up", status=400)
    walker.open("/authorize/choose")
    walker.look("error-reloaded", status=405)


def answer_in_a_form(walker: Walker) -> None:
    """Without scripts the person presses the button."""
    may_run = walker.may_run_scripts
    walker.allow_scripts(False)
    walker.ask(response_mode="form_post")
    walker.press(provider("demo"))
    walker.sign_in_upstream()
    if walker.page.locator(ALLOW).count():
        walker.press(ALLOW)
    walker.look("form-post")
    walker.press("main form button")
    walker.redeem()
    walker.allow_scripts(may_run)


def deleting(walker: Walker) -> None:
    walker.open("/account/sessions#data")
    walker.press(f"#data {action('delete')}")
    walker.look("account-delete")
    name = walker.page.locator("label").inner_text()
    walker.type(typed="somebody else")
    walker.press(action("delete"))
    walker.look("account-delete-wrong")
    walker.type(typed=next(word for word in name.split() if "@" in word))
    walker.press(action("delete"))
    walker.look("account-deleted")


def setting_a_password(walker: Walker) -> None:
    """The same person comes back as somebody new, by a provider alone."""
    walker.ask()
    walker.press(provider("demo"))
    walker.sign_in_upstream()
    walker.press(ALLOW)
    walker.redeem()
    walker.open("/account/sessions#ways")
    walker.press(f"#ways {provider('password')}")
    walker.look("account-set-password")


def walk(walker: Walker, address: str) -> None:
    choices(walker)
    locked_out(walker)
    passwords(walker, address)
    first_consent(walker)
    more_consents(walker)
    device(walker, answer="allow")
    device(walker, answer="deny")
    old_account(walker, address)
    linking(walker)
    account(walker)
    signing_out(walker)
    errors(walker)
    answer_in_a_form(walker)
    deleting(walker)
    setting_a_password(walker)
