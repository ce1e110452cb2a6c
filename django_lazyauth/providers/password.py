"""Sign in, register and change a password with an e-mail address and a password of this site.

The pages do not show whether an address is registered: page, status, hashing and number of mails are the same, only
the mail differs. A code confirms the address that it was sent to, never an account that has the same e-mail elsewhere
(I6). A new password is hashed at once, and only its hash is kept (I13).

Not here: the user and when it is written (``sign_in``), that a step is taken once (the conditional UPDATE of the
pending authorization), the form token (the view), and the end of other sessions after a change.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.hashers import identify_hasher, make_password
from django.contrib.auth.signals import user_login_failed
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import RegistrationRefused
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.models import Noted, ProviderIdentity, Reason
from django_lazyauth.models.fields import digest

from .base import Identity, Json, Page, Provider, Success
from .password_forms import (
    CODE_ALPHABET,
    CODE_LENGTH,
    STEPS,
    CodeForm,
    SignInForm,
    blank_form,
    credentials_of,
    form_page,
    person_key,
    steps_of,
    subject_of,
    user_of,
    why_refused,
)
from .password_mails import AddressRefused, Kind, may_mail, send_mail

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.forms import Form
    from django.http import HttpRequest

    from django_lazyauth.models import PendingAuthorization

logger = logging.getLogger(__name__)

#: Seconds that an e-mailed code is valid: long enough for a slow mail server.
CODE_LIFETIME = 15 * 60
#: Guesses at one code. With 40 random bits and five guesses, one attacker in 2 × 10¹¹ succeeds.
CODE_ATTEMPTS = 5
#: Mails that one authorization request may cause.
MAILS_PER_FLOW = 3

# Guesses at a password. Open while the cache is down: sign-in must still work, and each guess costs a hash. A person
# who is locked out by a stranger's guesses can use "change password", which needs only their mailbox.
ACCOUNT_FAILURES = Throttle("password-account", 10, timedelta(minutes=15), fails_open=True)
# All names and addresses of a person share one budget, and the account page takes from it too. A page that said so
# would tell strangers which names belong together. So it says NOT_SIGNED_IN, which claims no wrong password.
PERSON_FAILURES = Throttle("password-person", 10, timedelta(minutes=15), fails_open=True)
FLOW_FAILURES = Throttle("password-flow", 10, timedelta(hours=1), fails_open=True)
# Guesses at a code. Open while the cache is down: the sealed count of attempts still limits all but concurrent
# requests, and those cannot try 40 bits.
CODE_GUESSES = Throttle("password-code", CODE_ATTEMPTS, timedelta(hours=1), fails_open=True)
# Mails go to the mailboxes of other people: closed while the cache is down.
FLOW_MAILS = Throttle("password-flow-mails", MAILS_PER_FLOW, timedelta(hours=1))
ADDRESS_MAILS = Throttle("password-address-mails", 5, timedelta(hours=1))

NOT_SIGNED_IN = _("That did not work. Check name and password and try again, or replace the password.")
TOO_MANY_IN_FLOW = _(
    "Too many attempts. Go back to the application and start again, or replace the password."
)
CODE_REFUSED = _("This code is wrong or has expired, or too many were tried. Check it, or ask for a new one.")
NO_MORE_MAILS = _("No mail can be sent for this sign-in now. Use the last code, or start again later.")
ADDRESS_REFUSED = _("The mail server does not take mail for this address. Check the address.")
START_AGAIN = _("This step is over. Please start again.")
MAIL_SENT = _("A new mail is on its way. Earlier codes may have stopped working.")


@dataclass(frozen=True, slots=True)
class Challenge:
    """A code that was mailed, and the change that it confirms. It is kept sealed, never in the browser.

    Attributes:
        kind: The change that the code confirms.
        email: Normalised address, and so the subject.
        password_hash: Of the new password, by the site's first hasher.
        code_digest: SHA-256 of the code with its flow and address, or of a random value if no code was sent.
        sent_at: Unix time of the mail, in seconds.
        attempts: Wrong guesses at this code.
        mails: Mails that this flow has asked for.
        name: What the person calls themselves, unproven.
    """

    kind: Kind
    email: str
    password_hash: str
    code_digest: str
    sent_at: int
    attempts: int = 0
    mails: int = 0
    name: str = ""

    @classmethod
    def load(cls, private: Json) -> Challenge | None:
        if private.get("kind") not in ("register", "change"):
            return None
        return cls(**{each.name: private[each.name] for each in fields(cls) if each.name in private})

    @property
    def can_resend(self) -> bool:
        return self.mails < MAILS_PER_FLOW

    @property
    def is_spent(self) -> bool:
        return self.attempts >= CODE_ATTEMPTS or int(time.time()) - self.sent_at > CODE_LIFETIME


class PasswordProvider(Provider):
    """E-mail address and password; the address is the subject, proven by an e-mailed code."""

    default_name = _("E-mail and password")
    is_upstream: ClassVar[bool] = False
    emits_commit: ClassVar[bool] = True
    is_set_here: ClassVar[bool] = True

    def begin(self, pending: PendingAuthorization, *, state: str, callback_uri: str) -> Page:
        first = steps_of(pending)[0]
        return form_page(first, blank_form(first, pending), private={})

    def complete(self, request: HttpRequest, pending: PendingAuthorization, private: Json) -> Success | Page:
        """Show the step of ``?step=``, or take the form whose hidden ``action`` is posted.

        A GET changes and sends nothing. Every refusal is a page with the reason on it.

        Raises:
            ProviderUnavailable: A mail could not be sent, to a registered address or not.
        """
        # As django.views.decorators.debug.sensitive_post_parameters does, which decorates views only.
        request.sensitive_post_parameters = "__ALL__"  # type: ignore[attr-defined]  # what Django's own decorator sets
        challenge = Challenge.load(private)
        action = request.POST.get("action") if request.method == "POST" else None
        steps = steps_of(pending)
        match action:
            case "sign_in" if action in steps:
                return self._sign_in(request, pending)
            case "register" | "change" | "set" if action in steps:
                return self._ask_for_code(request, pending, action, challenge)
            case "verify" if challenge:
                return self._verify(request, pending, challenge)
            case "resend" if challenge:
                return self._resend(pending, challenge)
        step = request.GET.get("step")
        if step in steps and action is None:
            return form_page(step, blank_form(step, pending))
        if challenge and action is None:
            return _code_page(challenge, CodeForm())
        return form_page(steps[0], blank_form(steps[0], pending), alert=START_AGAIN if action else "")

    def finalize(self, commit: Json, *, user: AbstractBaseUser, session_id: UUID) -> None:
        """Give *user* the password whose hash is in *commit*, with one UPDATE (I3).

        A registration sets the first password only. The UPDATE compares the old value, so of two registrations of
        one address one wins. A change replaces an existing password only.

        Raises:
            RegistrationRefused: The account has a password already, or has none to change (any more).
        """
        password_hash = commit["password_hash"]
        identify_hasher(password_hash)  # ValueError, so that no password in clear reaches the database.
        rows = get_user_model()._base_manager.filter(pk=user.pk)
        if commit["kind"] == "change":
            if not (_has_password(user) and user.is_active):
                raise RegistrationRefused("There is no password to change any more.")
        elif commit["kind"] == "register":
            if _has_password(user) and user.password != password_hash:
                raise RegistrationRefused("This account was registered meanwhile. Please sign in.")
            rows = rows.filter(password=user.password)
        else:
            raise ValueError("unknown kind of password commit")
        if not rows.update(password=password_hash):
            raise RegistrationRefused("This account was changed meanwhile. Please sign in.")
        user.password = password_hash

    def _sign_in(self, request: HttpRequest, pending: PendingAuthorization) -> Success | Page:
        form = SignInForm(request.POST)
        if not form.is_valid():
            return form_page("sign_in", form)
        login = form.cleaned_data["email"]
        flow, account = str(pending.session_id), subject_of(login) or login.casefold()
        within_limits = [FLOW_FAILURES.take(flow), ACCOUNT_FAILURES.take(account)]
        if not all(within_limits):
            # The same work as a real check, so that the response time does not show that nothing is checked.
            make_password(form.cleaned_data["password"])
            alert = _locked_out(is_account=not within_limits[1])
            return self._refused(form, alert, login, Reason.RATE_LIMIT)
        identity, named = self._identity(subject_of(login) or ""), user_of(login)
        user = identity.user if identity else named
        if not PERSON_FAILURES.take(person := person_key(user, account)):
            make_password(form.cleaned_data["password"])
            _tell_receivers(request, login)
            return self._refused(form, NOT_SIGNED_IN, login, Reason.RATE_LIMIT)
        success = self._authenticate(request, login, identity or named, form.cleaned_data["password"])
        if success is None:
            return self._refused(form, NOT_SIGNED_IN, login, why_refused(user))
        ACCOUNT_FAILURES.give_back(account)
        PERSON_FAILURES.give_back(person)
        return success

    def _refused(self, form: Form, alert: Any, login: str, reason: Reason) -> Page:
        """Show the form again. The person does not read why; operators do."""
        noted = Noted(reason, self.name, "password", email=login)
        return replace(form_page("sign_in", form, alert=alert), refused=noted)

    @sensitive_variables("password")
    def _authenticate(
        self,
        request: HttpRequest,
        login: str,
        whom: ProviderIdentity | AbstractBaseUser | None,
        password: str,
    ) -> Success | None:
        """Check the password of the identity's user, or of the site's user of that name, with one hash.

        If the address has an identity here, only its user is checked, even if a user of the site has that name. The
        right password upgrades an outdated hash, as in Django's own sign-in.
        """
        if not isinstance(whom, ProviderIdentity):
            local = authenticate(request, password=password, **credentials_of(login, whom))
            return self._success_of(local) if local and whom in (None, local) else None
        user: AbstractBaseUser = whom.user
        if user.check_password(password) and user.is_active:
            known = Identity(
                provider=self.name,
                subject=whom.subject,
                email=whom.email,
                email_verified=whom.email_verified,
                name=whom.name,
            )
            return Success(known, user=user, amr=("pwd",))
        _tell_receivers(request, login)
        return None

    def _success_of(self, user: AbstractBaseUser) -> Success:
        """Name a user of the site without an identity. The subject has no ``@``, so it is no address."""
        email, subject = getattr(user, user.get_email_field_name(), ""), f"user:{user.pk}".replace("@", "%40")
        return Success(Identity(self.name, subject[:255], email=email or ""), user=user, amr=("pwd",))

    def _ask_for_code(
        self, request: HttpRequest, pending: PendingAuthorization, step: str, earlier: Challenge | None
    ) -> Page:
        """Hash the new password and mail a code: one hash and one mail, whether the address is registered or not."""
        form = STEPS[step][1](request.POST)
        kind: Kind = "change" if step == "change" else "register"
        if not form.is_valid():
            return form_page(step, form)
        mails = earlier.mails if earlier else 0
        if mails >= MAILS_PER_FLOW or not may_mail(FLOW_MAILS, str(pending.session_id)):
            return form_page(step, form, alert=NO_MORE_MAILS)
        challenge = Challenge(
            kind=kind,
            email=form.cleaned_data["email"],
            password_hash=make_password(form.cleaned_data["password"]),
            code_digest=_digest_of_nothing(),
            sent_at=int(time.time()),
            mails=mails,
            name=form.cleaned_data.get("name", ""),
        )
        try:
            mailed = self._mail_code(pending, challenge)
        except AddressRefused:
            form.add_error("email", ADDRESS_REFUSED)
            return form_page(step, form)
        return replace(_code_page(mailed, CodeForm()), is_final=True)

    def _resend(self, pending: PendingAuthorization, challenge: Challenge) -> Page:
        if not (challenge.can_resend and may_mail(FLOW_MAILS, str(pending.session_id))):
            return _code_page(challenge, CodeForm(), alert=NO_MORE_MAILS)
        try:
            mailed = self._mail_code(pending, challenge)
        except AddressRefused:
            return _code_page(challenge, CodeForm(), alert=ADDRESS_REFUSED)
        return replace(_code_page(mailed, CodeForm(), notice=MAIL_SENT), is_final=True)

    def _mail_code(self, pending: PendingAuthorization, challenge: Challenge) -> Challenge:
        """Send one mail, with a code only if the code may confirm the change.

        Above the limit of an address no mail is sent, and the page does not show that.
        """
        counted = replace(challenge, mails=challenge.mails + 1)
        code = "".join(secrets.choice(CODE_ALPHABET) for _place in range(CODE_LENGTH))
        may_confirm = self._may_confirm(challenge)
        if not may_mail(ADDRESS_MAILS, challenge.email):
            return counted
        send_mail(
            challenge.kind,
            to=challenge.email,
            code=code if may_confirm else "",
            minutes=CODE_LIFETIME // 60,
        )
        return replace(
            counted,
            code_digest=_digest_of_code(pending, challenge, code) if may_confirm else _digest_of_nothing(),
            sent_at=int(time.time()),
            attempts=0,
        )

    def _may_confirm(self, challenge: Challenge) -> bool:
        """Say whether the address is free to register, or has a password of this provider to change (I6)."""
        identity = self._identity(challenge.email)
        if challenge.kind == "register":
            return identity is None
        return identity is not None and identity.user.is_active and _has_password(identity.user)

    def _verify(
        self, request: HttpRequest, pending: PendingAuthorization, challenge: Challenge
    ) -> Success | Page:
        form = CodeForm(request.POST)
        if not form.is_valid():
            return _code_page(challenge, form)
        # Counted in the cache before the comparison: concurrent guesses all have the same sealed count.
        is_open = CODE_GUESSES.take(challenge.code_digest) and not challenge.is_spent
        given = _digest_of_code(pending, challenge, form.cleaned_data["code"])
        if not (secrets.compare_digest(given, challenge.code_digest) and is_open):
            return _code_page(replace(challenge, attempts=challenge.attempts + 1), CodeForm(), CODE_REFUSED)
        email, name = challenge.email, challenge.name
        who = Identity(self.name, email, email=email, email_verified=True, name=name, is_partial=not name)
        return Success(
            who,
            commit={
                "kind": challenge.kind,
                "email": challenge.email,
                "password_hash": challenge.password_hash,
            },
            amr=("pwd", "otp"),
        )

    def _identity(self, subject: str) -> ProviderIdentity | None:
        return (
            ProviderIdentity.objects.select_related("user")
            .filter(provider=self.name, subject=subject)
            .first()
        )


def _locked_out(*, is_account: bool) -> Any:
    """Return what a person reads whose password is not checked any more, whether the account exists or not."""
    if not is_account:
        return TOO_MANY_IN_FLOW
    minutes = math.ceil(ACCOUNT_FAILURES.seconds_left() / 60)
    return ngettext(
        "Too many attempts. Try again in %(minutes)d minute, or replace the password.",
        "Too many attempts. Try again in %(minutes)d minutes, or replace the password.",
        minutes,
    ) % {"minutes": minutes}


def _tell_receivers(request: HttpRequest, login: str) -> None:
    """Send what ``authenticate`` sends: a host's receivers run for both kinds of account."""
    user_login_failed.send(sender=__name__, credentials={"username": login}, request=request)


def _has_password(user: AbstractBaseUser) -> bool:
    """Say whether *user* has a password; a user created without one has an empty or an unusable one."""
    return bool(user.password) and user.has_usable_password()


def _digest_of_code(pending: PendingAuthorization, challenge: Challenge, code: str) -> str:
    """Return the digest of a code, bound to its flow, purpose and address."""
    return digest(f"{pending.session_id}\n{challenge.kind}\n{challenge.email}\n{code}")


def _digest_of_nothing() -> str:
    return digest(secrets.token_urlsafe(32))


def _code_page(challenge: Challenge, form: Form, alert: Any = "", *, notice: Any = "") -> Page:
    context = {
        "form": form,
        "alert": alert,
        "notice": notice,
        "email": challenge.email,
        "can_resend": challenge.can_resend,
        # Tells the form for another mail from a second click on the one before.
        "mails": challenge.mails,
    }
    return Page("django_lazyauth/password/code.html", context, private=asdict(challenge))
