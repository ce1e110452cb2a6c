"""Sign in, register and change a password with an e-mail address and a password of this site.

Somebody who asks whether an address is registered learns nothing: page, status, hashing and number of mails
are the same, only the mail differs. A code speaks for the address it was sent to, never for an account that
has the same e-mail elsewhere (I6). From the moment it arrives a new password is kept as a hash only (I13).

Not here: who the user becomes and when it is written (the flows), that a step is taken once (the pending
authorization's conditional UPDATE), the form token (the view), and the end of other sessions after a change.
"""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.hashers import identify_hasher, make_password
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import ProviderUnavailable, RegistrationRefused
from django_lazyauth.kit.throttle import Throttle
from django_lazyauth.models import ProviderIdentity
from django_lazyauth.models.fields import digest

from .base import Identity, Json, Page, Provider, Success
from .password_forms import (
    ADDRESS_LENGTH,
    CODE_ALPHABET,
    CODE_LENGTH,
    CodeForm,
    NewPasswordForm,
    SignInForm,
    normalise_address,
)

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.forms import Form
    from django.http import HttpRequest

    from django_lazyauth.models import PendingAuthorization

logger = logging.getLogger(__name__)

Kind = Literal["register", "change"]

#: Seconds that an e-mailed code is good for: a slow mail server, not a mailbox read next week.
CODE_LIFETIME = 15 * 60
#: Guesses at one code. With 40 random bits and five guesses one in 2 × 10¹¹ attackers gets in.
CODE_ATTEMPTS = 5
#: Mails that one authorization request may cause.
MAILS_PER_FLOW = 3

# Guessing a password. Open while the cache is down: sign-in must survive that; a guess costs a hash still.
# Somebody locked out by a stranger's guesses gets in through "change password", which needs the mailbox only.
ACCOUNT_FAILURES = Throttle("password-account", 10, timedelta(minutes=15), fails_open=True)
FLOW_FAILURES = Throttle("password-flow", 10, timedelta(hours=1), fails_open=True)
# Guessing a code. Open while the cache is down: the sealed count of attempts still bounds everything but
# requests that race each other, and 40 bits are far more than a race can try.
CODE_GUESSES = Throttle("password-code", CODE_ATTEMPTS, timedelta(hours=1), fails_open=True)
# Mails go to third persons' mailboxes: closed while the cache is down.
FLOW_MAILS = Throttle("password-flow-mails", MAILS_PER_FLOW, timedelta(hours=1))
ADDRESS_MAILS = Throttle("password-address-mails", 5, timedelta(hours=1))

NOT_SIGNED_IN = _("This name and this password do not belong together. Check both and try again.")
CODE_REFUSED = _("This code is wrong or has expired. Check it, or ask for a new one.")
NO_MORE_MAILS = _("No more mails can be sent for this sign-in. Use the last code, or start again later.")
START_AGAIN = _("This step is over. Please start again.")
MAIL_SENT = _("A new mail is on its way. Earlier codes may have stopped working.")

#: Step → its page and form.
STEPS: dict[str, tuple[str, type[Form]]] = {
    "sign_in": ("django_lazyauth/password/sign_in.html", SignInForm),
    "register": ("django_lazyauth/password/register.html", NewPasswordForm),
    "change": ("django_lazyauth/password/change.html", NewPasswordForm),
}
#: What was asked for, and whether a code that opens something goes with it → the mail.
MAILS: dict[tuple[Kind, bool], str] = {
    ("register", True): "django_lazyauth/mail/register_code.txt",
    ("register", False): "django_lazyauth/mail/register_known.txt",
    ("change", True): "django_lazyauth/mail/change_code.txt",
    ("change", False): "django_lazyauth/mail/change_unknown.txt",
}


@dataclass(frozen=True, slots=True)
class Challenge:
    """A code that was mailed and what it would confirm. The flow keeps it sealed; no browser sees it.

    Attributes:
        kind: What the code confirms.
        email: Normalised address, and so the subject.
        password_hash: Of the new password, by the site's first hasher.
        code_digest: SHA-256 of the code with its flow and address, or of nothing anybody has.
        sent_at: Unix time of the mail, in seconds.
        attempts: Wrong guesses at this code.
        mails: Mails that this flow has asked for.
    """

    kind: Kind
    email: str
    password_hash: str
    code_digest: str
    sent_at: int
    attempts: int = 0
    mails: int = 0

    @classmethod
    def load(cls, private: Json) -> Challenge | None:
        if private.get("kind") not in ("register", "change"):
            return None
        return cls(**{each.name: private[each.name] for each in fields(cls)})

    @property
    def can_resend(self) -> bool:
        return self.mails < MAILS_PER_FLOW

    @property
    def is_spent(self) -> bool:
        return self.attempts >= CODE_ATTEMPTS or int(time.time()) - self.sent_at > CODE_LIFETIME


class PasswordProvider(Provider):
    """E-mail address and password; the address is the subject, proven by an e-mailed code."""

    is_upstream: ClassVar[bool] = False
    emits_commit: ClassVar[bool] = True

    def begin(self, pending: PendingAuthorization, *, state: str, callback_uri: str) -> Page:
        return _form_page(_first_step(pending), _blank_form(_first_step(pending), pending), private={})

    def complete(self, request: HttpRequest, pending: PendingAuthorization, private: Json) -> Success | Page:
        """Show the step of ``?step=``, or take the form whose hidden ``action`` is posted.

        A GET changes and sends nothing. Every refusal is a page with the reason on it.

        Raises:
            ProviderUnavailable: A mail could not be sent, whoever it was for.
        """
        # What django.views.decorators.debug.sensitive_post_parameters sets, which takes views only.
        request.sensitive_post_parameters = "__ALL__"  # type: ignore[attr-defined]  # what Django's own decorator sets
        challenge = Challenge.load(private)
        action = request.POST.get("action") if request.method == "POST" else None
        match action:
            case "sign_in":
                return self._sign_in(request, pending)
            case "register" | "change":
                return self._ask_for_code(request, pending, action, challenge)
            case "verify" if challenge:
                return self._verify(request, pending, challenge)
            case "resend" if challenge:
                return self._resend(pending, challenge)
        step = request.GET.get("step")
        if step in STEPS and action is None:
            return _form_page(step, _blank_form(step, pending))
        if challenge and action is None:
            return _code_page(challenge, CodeForm())
        step = _first_step(pending)
        return _form_page(step, _blank_form(step, pending), alert=START_AGAIN if action else "")

    def finalize(self, commit: Json, *, user: AbstractBaseUser, session_id: UUID) -> None:
        """Give *user* the password whose hash is in *commit*, with one UPDATE (I3).

        A registration sets the first password and nothing but the first: it is compared and swapped, so of
        two registrations of one address one wins. A change replaces a password that exists, so it never makes
        a new user's first.

        Raises:
            RegistrationRefused: The account has a password already, or has none to change (any more).
        """
        password_hash = commit["password_hash"]
        identify_hasher(password_hash)  # ValueError rather than a password in clear in the database.
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
            return _form_page("sign_in", form)
        login = form.cleaned_data["email"]
        flow, account = str(pending.session_id), _subject_of(login) or login.casefold()
        within_limits = [FLOW_FAILURES.take(flow), ACCOUNT_FAILURES.take(account)]
        if all(within_limits):
            success = self._authenticate(request, login, form.cleaned_data["password"])
        else:
            # As much work as a real check, so that a guesser does not notice that nothing is checked.
            make_password(form.cleaned_data["password"])
            success = None
        if success is None:
            return _form_page("sign_in", form, alert=NOT_SIGNED_IN)
        ACCOUNT_FAILURES.give_back(account)
        return success

    @sensitive_variables("password")
    def _authenticate(self, request: HttpRequest, login: str, password: str) -> Success | None:
        """Check one password with one hash: of the identity's user, or of the site's user of that name.

        Whose address has an identity here is that identity, whatever a user of the site calls itself. Like
        Django's own sign-in, the right password renews a hash whose parameters are out of date.
        """
        identity = self._identity(_subject_of(login) or "")
        if identity is None:
            local = authenticate(request, username=login, password=password)
            return Success(self._local_identity(local), user=local, amr=("pwd",)) if local else None
        user: AbstractBaseUser = identity.user
        if user.check_password(password) and user.is_active:
            known = Identity(
                provider=self.name,
                subject=identity.subject,
                email=identity.email,
                email_verified=identity.email_verified,
                name=identity.name,
            )
            return Success(known, user=user, amr=("pwd",))
        # As ``authenticate`` does: what a host hangs on failures runs for both kinds of account.
        user_login_failed.send(sender=__name__, credentials={"username": login}, request=request)
        return None

    def _local_identity(self, user: AbstractBaseUser) -> Identity:
        """Name a user of the site who has no identity here: without ``@`` the subject is no address."""
        email = getattr(user, user.get_email_field_name(), "") or ""
        return Identity(provider=self.name, subject=f"user:{user.pk}".replace("@", "%40")[:255], email=email)

    def _ask_for_code(
        self, request: HttpRequest, pending: PendingAuthorization, kind: Kind, earlier: Challenge | None
    ) -> Page:
        """Hash the new password and mail a code: one hash and one mail, whoever the address belongs to."""
        form = NewPasswordForm(request.POST)
        if not form.is_valid():
            return _form_page(kind, form)
        mails = earlier.mails if earlier else 0
        if mails >= MAILS_PER_FLOW or not FLOW_MAILS.take(str(pending.session_id)):
            return _form_page(kind, form, alert=NO_MORE_MAILS)
        challenge = Challenge(
            kind=kind,
            email=form.cleaned_data["email"],
            password_hash=make_password(form.cleaned_data["password"]),
            code_digest=_digest_of_nothing(),
            sent_at=int(time.time()),
            mails=mails,
        )
        return _code_page(self._mail_code(pending, challenge), CodeForm())

    def _resend(self, pending: PendingAuthorization, challenge: Challenge) -> Page:
        if not (challenge.can_resend and FLOW_MAILS.take(str(pending.session_id))):
            return _code_page(challenge, CodeForm(), alert=NO_MORE_MAILS)
        return _code_page(self._mail_code(pending, challenge), CodeForm(), notice=MAIL_SENT)

    def _mail_code(self, pending: PendingAuthorization, challenge: Challenge) -> Challenge:
        """Send one mail, with a code only where the code may open something.

        Beyond the limit of an address nothing is sent, and the page says what it always says.
        """
        counted = replace(challenge, mails=challenge.mails + 1)
        code = "".join(secrets.choice(CODE_ALPHABET) for _place in range(CODE_LENGTH))
        opens = self._may_confirm(challenge)
        if not ADDRESS_MAILS.take(challenge.email):
            return counted
        _send_mail(MAILS[challenge.kind, opens], to=challenge.email, code=code if opens else "")
        return replace(
            counted,
            code_digest=_digest_of_code(pending, challenge, code) if opens else _digest_of_nothing(),
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
        # Counted in the cache before it is compared: parallel guesses all carry the same sealed count.
        is_open = CODE_GUESSES.take(challenge.code_digest) and not challenge.is_spent
        given = _digest_of_code(pending, challenge, form.cleaned_data["code"])
        if not (secrets.compare_digest(given, challenge.code_digest) and is_open):
            return _code_page(replace(challenge, attempts=challenge.attempts + 1), CodeForm(), CODE_REFUSED)
        return Success(
            Identity(self.name, challenge.email, email=challenge.email, email_verified=True),
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


def _has_password(user: AbstractBaseUser) -> bool:
    """Say whether somebody set a password; a user built without one has an empty or an unusable one."""
    return bool(user.password) and user.has_usable_password()


def _subject_of(login: str) -> str | None:
    try:
        return normalise_address(login)
    except ValidationError:
        return None


def _digest_of_code(pending: PendingAuthorization, challenge: Challenge, code: str) -> str:
    """Bind a code to its flow, purpose and address: it is nothing anywhere else."""
    return digest(f"{pending.session_id}\n{challenge.kind}\n{challenge.email}\n{code}")


def _digest_of_nothing() -> str:
    return digest(secrets.token_urlsafe(32))


def _first_step(pending: PendingAuthorization) -> str:
    """Initiating User Registration via OpenID Connect §4: ``prompt=create`` asks for the register page."""
    return "register" if "create" in pending.prompts else "sign_in"


def _blank_form(step: str, pending: PendingAuthorization) -> Form:
    hint = pending.login_hint.strip()
    # A hint comes with the URL: bidi overrides and control characters have no business in a field.
    usable = hint.isprintable() and len(hint) <= ADDRESS_LENGTH
    return STEPS[step][1](initial={"email": hint} if usable else {})


def _form_page(step: str, form: Form, *, alert: Any = "", private: Json | None = None) -> Page:
    return Page(STEPS[step][0], {"form": form, "alert": alert}, private=private)


def _code_page(challenge: Challenge, form: Form, alert: Any = "", *, notice: Any = "") -> Page:
    context = {
        "form": form,
        "alert": alert,
        "notice": notice,
        "email": challenge.email,
        "can_resend": challenge.can_resend,
    }
    return Page("django_lazyauth/password/code.html", context, private=asdict(challenge))


def _send_mail(template: str, *, to: str, code: str) -> None:
    """Send one mail; the first line of its template is the subject.

    It names the site and nobody else: what a client calls itself is a stranger's text, and must not travel to
    a third person under our name.

    Raises:
        ProviderUnavailable: The mail backend failed; which way is for the operator only.
    """
    context = {
        "site": urlsplit(lazyauth_settings.issuer).netloc,
        "code": f"{code[:4]}-{code[4:]}",
        "minutes": CODE_LIFETIME // 60,
    }
    subject, _newline, body = render_to_string(template, context).strip().partition("\n")
    mail = EmailMessage(
        subject=subject.strip(),
        body=body.lstrip(),
        to=[to],
        headers={"Auto-Submitted": "auto-generated"},  # RFC 3834 §5: no vacation answers, please.
    )
    try:
        mail.send()
    except Exception as error:  # noqa: BLE001 - every mail backend raises errors of its own library.
        logger.error("A mail was not sent: %s", type(error).__name__)
        raise ProviderUnavailable("mail", debug=type(error).__name__) from None
