"""The forms of the password pages and their steps; whom a typed name means, and why somebody was refused.

Whether a form is valid does not depend on accounts.
"""

from __future__ import annotations

import re
import unicodedata
from inspect import signature
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.models import ProviderIdentity, Reason

from .base import Json, Page

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from django_lazyauth.models import PendingAuthorization

#: Characters of an address (RFC 5321 §4.5.3.1.3, less the angle brackets).
ADDRESS_LENGTH = 254
#: Characters of a local part (RFC 5321 §4.5.3.1.1).
LOCAL_PART_LENGTH = 64
#: Characters of a password: enough for any passphrase, and cheap to hash.
PASSWORD_LENGTH = 4096
#: Characters of a name, as the identity keeps them.
NAME_LENGTH = 128
#: Characters of a code, without the hyphen: 40 random bits.
CODE_LENGTH = 8
#: Crockford's base 32. Without I, L, O and U a code is not misread and spells no word.
CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_CODE = re.compile(rf"[{CODE_ALPHABET}]{{{CODE_LENGTH}}}", re.ASCII)
_check_address = EmailValidator(allowlist=[])


def normalise_address(address: str) -> str:
    """Return the normalised spelling of *address*: it is the subject, and mail is sent to it.

    The local part must be ASCII and is lower-cased; the domain becomes lower-case A-labels (RFC 5891 §4.4). No NFKC
    and no Unicode case folding is done, because they map two mailboxes to one (the Kelvin sign folds to "k"). Mail is
    sent to the returned spelling, so a person who answers it controls exactly that address. Quoted local parts,
    address literals and ``localhost`` are refused.

    Raises:
        ValidationError: No mail is sent to such an address.
    """
    address = address.strip()
    local, _at, domain = address.rpartition("@")
    if len(address) <= ADDRESS_LENGTH and len(local) <= LOCAL_PART_LENGTH and local.isascii():
        try:
            normal = f"{local.lower()}@{domain.encode('idna').decode('ascii').lower()}"
        except UnicodeError:
            normal = ""
        if len(normal) <= ADDRESS_LENGTH and not normal.startswith('"') and not normal.endswith("]"):
            _check_address(normal)
            return normal
    raise ValidationError(EmailValidator.message, code="invalid")


def encodable(value: str) -> None:
    """Refuse lone surrogates: neither hashers nor databases can encode them (I18).

    Raises:
        ValidationError: The text has no UTF-8 form.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValidationError(_("Some characters cannot be used here."), code="unencodable") from None


def printable(value: str) -> None:
    """Refuse what would not be seen, or turns a line around (bidi overrides).

    Raises:
        ValidationError: The text has such a character.
    """
    if not value.isprintable():
        raise ValidationError(_("Some characters cannot be used here."), code="unprintable")


class LoginField(forms.CharField):
    """A user name or an address, NFKC-normalised as Django stores user names."""

    default_validators = [encodable]

    def to_python(self, value: Any) -> str:
        login: str = super().to_python(value) or ""
        # Text that is too long is refused later. Normalising it would only cost time.
        return login if len(login) > ADDRESS_LENGTH else unicodedata.normalize("NFKC", login)


class AddressField(forms.CharField):
    """An e-mail address; its clean value is normalised by :func:`normalise_address`."""

    def to_python(self, value: Any) -> str:
        address: str = super().to_python(value) or ""
        return normalise_address(address) if address else ""


class PasswordField(forms.CharField):
    """A password as typed: neither stripped nor shown again."""

    default_validators = [encodable]

    def __init__(self, *, label: Any, autocomplete: str) -> None:
        super().__init__(
            label=label,
            strip=False,
            max_length=PASSWORD_LENGTH,
            # The words of the button are for the script, which adds it.
            widget=forms.PasswordInput(
                attrs={
                    "autocomplete": autocomplete,
                    "data-show": _("Show the password"),
                    "data-hide": _("Hide the password"),
                }
            ),
        )
        self.is_new = autocomplete == "new-password"

    @property
    def rules(self) -> list[str]:
        """What the site demands of a new password, a sentence each, for the page."""
        return [str(rule) for rule in password_validators_help_texts()] if self.is_new else []


class CodeField(forms.CharField):
    """An e-mailed code. Case, hyphens, spaces and look-alikes do not matter; the clean value has none of them."""

    def to_python(self, value: Any) -> str:
        typed: str = super().to_python(value) or ""
        code = typed.upper().translate(_MISREAD) if len(typed) <= 4 * CODE_LENGTH else typed
        if typed and not _CODE.fullmatch(code):
            raise ValidationError(_("A code has eight letters and digits."), code="malformed")
        return code


class PageForm(forms.Form):
    """A form whose first field has the focus when the page is new. After an error the page's alert has it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.focus()

    def focus(self) -> None:
        """Give the first field the focus, and no other."""
        for number, field in enumerate(self.fields.values()):
            field.widget.attrs.pop("autofocus", None)
            if number == 0 and not self.is_bound:
                field.widget.attrs["autofocus"] = True


class SignInForm(PageForm):
    email = LoginField(
        label=_("E-mail or username"),
        max_length=ADDRESS_LENGTH,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    password = PasswordField(label=_("Password"), autocomplete="current-password")


class NewPasswordForm(PageForm):
    """An address and its new password: to register, and to change or replace a password."""

    email = AddressField(
        label=_("E-mail"),
        max_length=ADDRESS_LENGTH,
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    password = PasswordField(label=_("New password"), autocomplete="new-password")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # With a help text the field refers to the list of rules (`aria-describedby`).
        self.fields["password"].help_text = " ".join(password_validators_help_texts())

    @sensitive_variables("password")
    def clean(self) -> dict[str, Any]:
        """Run the site's password validators with the typed address, never with data of an account."""
        cleaned = self.cleaned_data
        password = cleaned.get("password")
        if password:
            somebody = get_user_model()()
            setattr(somebody, get_user_model().get_email_field_name(), cleaned.get("email", ""))
            try:
                validate_password(password, user=somebody)
            except ValidationError as error:
                self.add_error("password", error)
        return cleaned


class RegisterForm(NewPasswordForm):
    """A new account: with ``ASK_NAME`` the person may say their name, which shows nobody that an address is known."""

    name = forms.CharField(
        label=_("Your name (you may leave it empty)"),
        required=False,
        max_length=NAME_LENGTH,
        validators=[encodable, printable],
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    field_order = ["name", "email", "password"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not lazyauth_settings.ask_name:
            del self.fields["name"]
        self.focus()


class OwnPasswordForm(PageForm):
    """A new password for who is signed in; with the current one unless they signed in just now."""

    current = PasswordField(label=_("Current password"), autocomplete="current-password")
    password = PasswordField(label=_("New password"), autocomplete="new-password")

    def __init__(self, *args: Any, user: AbstractBaseUser, needs_current: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        if not needs_current:
            del self.fields["current"]
        self.fields["password"].help_text = " ".join(password_validators_help_texts())
        self.focus()

    @sensitive_variables("password")
    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        validate_password(password, user=self.user)  # type: ignore[arg-type]  # AbstractBaseUser is what Django passes too
        return password


class CodeForm(PageForm):
    code = CodeField(
        label=_("Code"),
        help_text=_("Eight letters and digits, such as 7K2M-9QXD. Capitals do not matter."),
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "inputmode": "text",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "maxlength": 2 * CODE_LENGTH,
            }
        ),
    )


#: Below ``STATIC_URL``: shows what was typed into the field of a password.
SCRIPT = "django_lazyauth/password.js"
#: Step → its page and form.
STEPS: dict[str, tuple[str, type[forms.Form]]] = {
    "sign_in": ("django_lazyauth/password/sign_in.html", SignInForm),
    "register": ("django_lazyauth/password/register.html", RegisterForm),
    "change": ("django_lazyauth/password/change.html", NewPasswordForm),
    "set": ("django_lazyauth/password/set.html", NewPasswordForm),
}


def steps_of(pending: PendingAuthorization) -> tuple[str, ...]:
    """Return the steps that a flow may take, the first one first.

    Initiating User Registration via OpenID Connect §4: ``prompt=create`` asks for the register page.
    """
    if pending.link_to_id is not None:
        return ("set",)
    return (
        ("register", "sign_in", "change")
        if "create" in pending.prompts
        else ("sign_in", "register", "change")
    )


def blank_form(step: str, pending: PendingAuthorization) -> forms.Form:
    hint = pending.login_hint.strip()
    # A hint comes from the URL: bidi overrides and control characters must not appear in a field.
    usable = hint.isprintable() and len(hint) <= ADDRESS_LENGTH
    return STEPS[step][1](initial={"email": hint} if usable else {})


def form_page(step: str, form: forms.Form, *, alert: Any = "", private: Json | None = None) -> Page:
    return Page(STEPS[step][0], {"form": form, "alert": alert}, private=private, script=SCRIPT)


def subject_of(login: str) -> str | None:
    """Return the address that *login* is, normalised; ``None`` where it is none."""
    try:
        return normalise_address(login)
    except ValidationError:
        return None


def user_of(login: str) -> AbstractBaseUser | None:
    """Return the user whose name is *login*, or the one who proved the address *login* at a provider.

    A user whose name is *login* goes first: the host's own backends know them. An address that two users proved names
    neither. The domain of an organisation vouches for its own people only, who sign in there, so it names nobody here.
    Two queries, whether somebody is found or not.
    """
    users = get_user_model()._default_manager
    named = users.filter(**{get_user_model().USERNAME_FIELD: login}).first()
    proved = ProviderIdentity.objects.filter(
        email__in=sorted({login, login.lower()}), email_verified=True, sso_domain=""
    ).exclude(email="")
    found = list(users.filter(pk__in=proved.values("user_id"))[:2])
    return named if named is not None or len(found) != 1 else found[0]


def credentials_of(login: str, user: AbstractBaseUser | None) -> dict[str, str]:
    """Return what names *user* to the backends of the site: the user name, and the address *login* that meant them.

    A backend of django-allauth may know people by their address alone. Django passes over a backend that does not take
    all credentials, so the address is given only if each takes it.
    """
    username = user.get_username() if user is not None else login
    if username == login or not all(map(_takes_address, settings.AUTHENTICATION_BACKENDS)):
        return {"username": username}
    return {"username": username, "email": login}


def _takes_address(backend: str) -> bool:
    try:
        signature(import_string(backend).authenticate).bind(None, None, username="", password="", email="")
    except TypeError:
        return False
    return True


def person_key(user: AbstractBaseUser | None, name: str = "") -> str:
    """Return what guesses at the password of *user* are counted by; by *name* where it means nobody."""
    return f"user:{user.pk}" if user is not None else f"name:{name}"


def why_refused(user: AbstractBaseUser | None) -> Reason:
    """Return why *user*, whom the typed name means, could not sign in."""
    return Reason.DEACTIVATED if user is not None and not user.is_active else Reason.WRONG_PASSWORD
