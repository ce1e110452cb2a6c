"""The mails of the password pages, and why one was not sent.

Not here: whether a mail may be sent, and whether it holds a code (:mod:`.password`).
"""

from __future__ import annotations

import logging
import smtplib
from typing import Literal

from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.console import EmailBackend as ConsoleBackend
from django.template.loader import render_to_string

from django_lazyauth.conf import lazyauth_settings, prints_mail
from django_lazyauth.errors import LazyAuthError, ProviderUnavailable
from django_lazyauth.kit.throttle import Throttle, Verdict

logger = logging.getLogger(__name__)

Kind = Literal["register", "change"]

#: The kind of request, and whether the mail holds a code → the template of the mail, without ``.txt`` and ``.html``.
MAILS: dict[tuple[Kind | Literal["changed"], bool], str] = {
    ("register", True): "django_lazyauth/mail/register_code",
    ("register", False): "django_lazyauth/mail/register_known",
    ("change", True): "django_lazyauth/mail/change_code",
    ("change", False): "django_lazyauth/mail/change_unknown",
    ("changed", False): "django_lazyauth/mail/password_changed",
}


class AddressRefused(LazyAuthError):
    """The mail server takes no mail for this address."""


def send_mail(kind: Kind | Literal["changed"], *, to: str, code: str = "", minutes: int = 0) -> None:
    """Send one mail, of those without a code where *code* is empty. The first line of its text is the subject.

    The subject holds no code: a locked screen shows it.

    It names the site and not the client: the name of a client is a stranger's text, and must not be sent to
    another person in our name.

    Raises:
        AddressRefused: The mail server refused the address, and would refuse it again.
        ProviderUnavailable: The mail backend failed. Only the log says how.
    """
    context = {
        "site": lazyauth_settings.site_name,
        "brand": lazyauth_settings.brand,
        "code": f"{code[:4]}-{code[4:]}",
        "minutes": minutes,
    }
    template = MAILS[kind, bool(code)]
    subject, _newline, body = render_to_string(f"{template}.txt", context).strip().partition("\n")
    mail = EmailMultiAlternatives(
        subject=subject.strip(),
        body=body.lstrip(),
        to=[to],
        headers={"Auto-Submitted": "auto-generated"},  # RFC 3834 §5: no automatic replies.
    )
    mail.attach_alternative(
        render_to_string(f"{template}.html", context | {"subject": subject.strip()}), "text/html"
    )
    try:
        if prints_mail():
            ConsoleBackend().send_messages([mail])
        else:
            mail.send()
    except Exception as error:  # noqa: BLE001 - every mail backend raises errors of its own library.
        if _is_refusal_of_address(error):
            logger.info("A mail server refused an address: %s", type(error).__name__)
            raise AddressRefused from None
        logger.error("A mail was not sent: %s", type(error).__name__)
        raise ProviderUnavailable("mail", debug=type(error).__name__) from None


def may_mail(throttle: Throttle, key: str) -> bool:
    """Count one mail and say whether it may be sent.

    Raises:
        ProviderUnavailable: The cache is down, and mails that nobody counts are not sent.
    """
    verdict = throttle.judge(key)
    if verdict is Verdict.UNKNOWN:
        raise ProviderUnavailable("mail", debug="not counted")
    return verdict is Verdict.WITHIN


def _is_refusal_of_address(error: Exception) -> bool:
    """Say whether the server refused the address for good (RFC 5321 §4.2.1, RFC 3463 §3.2), and nothing else failed.

    A reply of 4xx is no refusal: the same mail may be taken later.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _reply in error.recipients.values())
    if isinstance(error, smtplib.SMTPDataError):
        reply = error.smtp_error
        text = reply.decode("ascii", "replace") if isinstance(reply, bytes) else str(reply)
        return error.smtp_code >= 500 and text.startswith("5.1.")
    return False
