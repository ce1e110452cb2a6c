"""One authorization request: from the person's first action until its code is exchanged.

``requested → sent_upstream → authenticated → code_issued → exchanged``, and from any of them ``failed`` or
expired. Each step is one conditional UPDATE, so of two concurrent callers one wins. Codes, states and the
binding of the browser are stored as digests only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import IntegrityError, models, router
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_lazyauth.errors import InvalidGrant
from django_lazyauth.kit.retry import is_foreign_key_violation, known_by, retry_on_conflict

from . import sign_in_log
from .fields import PROVIDER_LENGTH, ExactCharField, cascade_at_once, client_key, digest, uuid7
from .sign_in_log import LoggedSignIn, Noted, Reason
from .single_use import USED, used_once
from .status import GrantKind, Status
from .token_facts import THUMBPRINT_LENGTH

#: A person may still continue these.
OPEN = (Status.REQUESTED, Status.SENT_UPSTREAM, Status.AUTHENTICATED, Status.CODE_ISSUED)
NOT_EXCHANGED = ~Q(status=Status.EXCHANGED)
#: What counts against the quotas. Rows of the log have quotas of their own.
COUNTED = NOT_EXCHANGED & Q(log_slot__isnull=True)
#: The browser of these is signed in on its next visit (``sessions/browser.py``).
TO_RESUME = Q(status=Status.EXCHANGED, is_deferred=True, resumed_at__isnull=True)


class PendingAuthorizationQuerySet(models.QuerySet["PendingAuthorization"]):
    def live(self, now: datetime | None = None) -> Self:
        """Keep the requests that a person may still continue."""
        return self.filter(status__in=OPEN, expires_at__gt=now or timezone.now())

    def advance(self, pk: Any, *, from_status: tuple[Status, ...], **values: Any) -> bool:
        """Move a request to its next status; ``False`` if a concurrent caller moved or ended it, or it expired."""
        now = timezone.now()
        values["updated_at"] = now
        step = self.filter(pk=pk, status__in=from_status, expires_at__gt=now)
        try:
            return bool(retry_on_conflict(lambda: step.update(**values)))
        except IntegrityError as error:
            if not is_foreign_key_violation(error):
                raise
            # The user was deleted, and with them the flow ends.
            return False

    def of_leg(self, pending: PendingAuthorization) -> Self:
        """Keep the row only if it is on the same leg as *pending*. Each leg has its own sealed provider state."""
        return self.filter(pk=pending.pk, provider=pending.provider, private=pending.private)

    def consume_state(self, pending: PendingAuthorization) -> None:
        """Spend the state that *pending* was found by; of concurrent callbacks one wins (I9).

        The row stays in ``sent_upstream``, with no state left that a second callback could name. An UPDATE that is not
        acknowledged is known again by the time that it wrote (I22).

        Raises:
            InvalidGrant: Spent or expired since *pending* was read, or the person went to another upstream.
            InvalidRequestUri: Another flow used up the request that this one came of.
        """
        now, using = timezone.now(), router.db_for_write(self.model)
        spent = {"state_digest": None, "updated_at": now} | USED
        waiting = self.filter(
            pk=pending.pk,
            # A row that waits for no state has NULL there, and must not match.
            state_digest=pending.state_digest or "",
            status=Status.SENT_UPSTREAM,
            expires_at__gt=now,
        )
        by_us = self.using(using).of_leg(pending).filter(state_digest__isnull=True, updated_at=now)
        count = 1
        with known_by(by_us), used_once():
            count = retry_on_conflict(lambda: waiting.update(**spent))
        if not count:
            raise InvalidGrant(debug="the state was spent by another request")
        pending.state_digest = None

    def by_state(self, state: str) -> PendingAuthorization:
        """Return the live request that waits for *state*, without spending it.

        Raises:
            InvalidGrant: Unknown, spent or expired.
        """
        row = (
            self.select_related("client__lazyauth_registration")
            .filter(state_digest=digest(state), status=Status.SENT_UPSTREAM, expires_at__gt=timezone.now())
            .first()
        )
        if row is None:
            raise InvalidGrant(debug="no live request waits for this state")
        return row

    def counted(self) -> Self:
        """Keep what counts against the caps on rows that anybody can create (I16): no exchanged rows, and not the log.

        A live session is an exchanged row, so nearly all rows of a large site are. The partial index
        ``lazyauth_pending_count`` holds the others; its condition and this one must be the same expression.
        """
        return self.filter(COUNTED)

    def due(self, now: datetime, retained_since: datetime) -> Self:
        """Keep what the sweep looks at: expired flows, and exchanged rows after their retention.

        The first condition bounds the rows that are read (``lazyauth_pending_expiry``).
        """
        ended = self.filter(NOT_EXCHANGED | Q(exchanged_at__lt=retained_since), expires_at__lt=now)
        return ended.forgettable(now)

    def forgettable(self, now: datetime) -> Self:
        """Leave out rows whose request could come again: without the row it would be good for a second flow."""
        return self.filter(Q(request_until__isnull=True) | Q(request_until__lt=now))


class PendingAuthorization(LoggedSignIn):
    """One authorization request. Its primary key is also the session id of the tokens that come of it."""

    session_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    status = models.CharField(_("status"), max_length=16, choices=Status.choices, default=Status.REQUESTED)
    grant = models.CharField(
        _("grant"),
        max_length=16,
        choices=GrantKind.choices,
        default=GrantKind.CODE,
        db_default=GrantKind.CODE,  # As at `client_auth`.
    )

    client = client_key(verbose_name=_("client"))
    redirect_uri = models.TextField(_("redirect URI"))
    scope = models.TextField(_("scope"), blank=True)
    resource = models.JSONField(_("resource"), default=list, blank=True)
    state = models.TextField(_("state"), blank=True)
    is_answer_posted = models.BooleanField(
        _("answer is posted"),
        default=False,
        db_default=False,  # As at `client_auth`.
    )
    nonce = models.CharField(_("nonce"), max_length=255, blank=True)
    code_challenge = models.CharField(_("code challenge"), max_length=128, blank=True)
    prompt = models.CharField(_("prompt"), max_length=64, blank=True)
    max_age = models.PositiveIntegerField(_("maximum age"), null=True, blank=True)
    acr_values = models.CharField(
        _("context classes asked for"),
        max_length=1024,
        blank=True,
        default="",
        # The same as at `client_auth`.
        db_default="",
        help_text=_("How strongly the client wants the person to sign in. Any of them will do."),
    )
    is_acr_essential = models.BooleanField(
        _("no other context class will do"), default=False, db_default=False
    )
    login_hint = models.CharField(_("login hint"), max_length=256, blank=True)
    ui_locales = models.CharField(_("UI locales"), max_length=128, blank=True)
    subject_hint = models.CharField(
        _("subject asked for"),
        max_length=255,
        blank=True,
        help_text=_("Of the ID token that the client sent along: nobody else will do."),
    )

    binding_digest = models.CharField(_("binding digest"), max_length=64)
    network = models.CharField(_("network"), max_length=43, blank=True)
    # What has a default in the database can be written by an earlier release while a site is upgraded.
    agent = models.CharField(_("browser"), max_length=40, blank=True, default="", db_default="")
    # See `browser.SignIn`.
    browser_mark = models.CharField(max_length=22, blank=True, default="", db_default="", editable=False)

    provider = ExactCharField(_("provider"), max_length=PROVIDER_LENGTH, blank=True)
    state_digest = models.CharField(  # noqa: DJ001 - unique, so that none is NULL
        _("state digest"), max_length=64, null=True, blank=True
    )
    private = models.TextField(_("sealed provider state"), blank=True)

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=cascade_at_once,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("user"),
    )
    link_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=cascade_at_once,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("adds a way in for"),
        help_text=_("Who is signed in here and adds an account, instead of signing in with it."),
    )
    identity_id = models.BigIntegerField(
        _("identity"),
        null=True,
        blank=True,
        help_text=_(
            "By which account at a provider the person signed in. The row outlives it: no foreign key."
        ),
    )
    is_deferred = models.BooleanField(_("registration deferred"), default=False)
    auth_time = models.DateTimeField(_("authenticated at"), null=True, blank=True)
    #: Once in an authorization (``sign_in/asking_again``).
    asked_again_at = models.DateTimeField(_("asked for consent once more at"), null=True, blank=True)
    amr = models.JSONField(_("authentication methods"), default=list, blank=True)
    acr = models.CharField(_("authentication context"), max_length=255, blank=True)
    client_auth = models.CharField(
        _("client authenticated by"),
        max_length=32,
        blank=True,
        default="",
        # So that a process of an earlier release can still write its rows while a site is upgraded.
        db_default="",
        help_text=_("Set where its code came with a client assertion: it is refreshed with one only."),
    )
    jkt = models.CharField(
        _("thumbprint of the key"),
        max_length=THUMBPRINT_LENGTH,
        blank=True,
        default="",
        db_default="",
        help_text=_(
            "Of the key that the code, and later the tokens of the session are bound to; empty for bearer tokens."
        ),
    )
    bound_at = models.DateTimeField(_("bound to a key at"), null=True, blank=True)
    consented_at = models.DateTimeField(_("consented at"), null=True, blank=True)

    # SHA-256 of the ``request_uri`` or signed request that the flow came of; NULL for a plain request.
    request_digest = models.CharField(  # noqa: DJ001 - compared with the next, which is NULL where there is none
        _("request handed over"), max_length=64, null=True, blank=True, editable=False
    )
    # The same once the person acted: of two flows of one request one has it.
    pushed_digest = models.CharField(  # noqa: DJ001 - unique, so that none is NULL
        _("request used up"), max_length=64, null=True, blank=True, editable=False
    )
    request_until = models.DateTimeField(_("request may come until"), null=True, blank=True, editable=False)

    code_digest = models.CharField(  # noqa: DJ001 - unique, so that none is NULL
        _("code digest"), max_length=64, null=True, blank=True
    )
    code_expires_at = models.DateTimeField(_("code expires at"), null=True, blank=True)
    exchanged_at = models.DateTimeField(_("exchanged at"), null=True, blank=True)
    resumed_at = models.DateTimeField(_("browser signed in at"), null=True, blank=True)
    failed_attempts = models.PositiveIntegerField(_("failed attempts"), default=0)
    last_error = models.CharField(_("class of the last error"), max_length=128, blank=True)

    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)
    # Of an exchanged row: when the sweep looks whether its session still lives.
    expires_at = models.DateTimeField(_("expires at"))

    objects = PendingAuthorizationQuerySet.as_manager()

    class Meta:
        verbose_name = _("sign-in")
        verbose_name_plural = _("sign-ins")
        # Each step of a sign-in writes an entry to each index that holds the row, so each is named with its queries and
        # is as small as they allow. MySQL and MariaDB ignore the conditions.
        indexes = [
            # The caps (`authorize/quota.py`).
            models.Index(fields=["network", "expires_at"], name="lazyauth_pending_count", condition=COUNTED),
            # The sweep.
            models.Index(fields=["expires_at"], name="lazyauth_pending_expiry"),
            # The next visit of a browser.
            models.Index(fields=["binding_digest"], name="lazyauth_pending_resume", condition=TO_RESUME),
            # Endings and deletions of a person.
            models.Index(fields=["user"], name="lazyauth_pending_user", condition=Q(user__isnull=False)),
            models.Index(
                fields=["link_to"], name="lazyauth_pending_link_to", condition=Q(link_to__isnull=False)
            ),
            # The log of sign-ins.
            *sign_in_log.INDEXES,
        ]
        constraints = [
            *sign_in_log.CONSTRAINTS,
            # Not `unique` at the field: PostgreSQL would get a second index for LIKE, which nobody asks for.
            models.UniqueConstraint(fields=["state_digest"], name="lazyauth_pending_one_state"),
            models.UniqueConstraint(fields=["code_digest"], name="lazyauth_pending_one_code"),
            models.UniqueConstraint(fields=["pushed_digest"], name="lazyauth_pending_one_flow"),
            models.CheckConstraint(
                name="lazyauth_pending_pushed_is_own",
                condition=Q(pushed_digest__isnull=True)
                | Q(pushed_digest=F("request_digest"), request_until__isnull=False),
            ),
            models.CheckConstraint(
                name="lazyauth_pending_status_known", condition=Q(status__in=Status.values)
            ),
            models.CheckConstraint(
                name="lazyauth_pending_state_is_upstream",
                condition=Q(state_digest__isnull=True) | Q(status=Status.SENT_UPSTREAM),
            ),
            models.CheckConstraint(
                name="lazyauth_pending_sent_names_provider",
                condition=~Q(status=Status.SENT_UPSTREAM) | ~Q(provider=""),
            ),
            models.CheckConstraint(
                name="lazyauth_pending_one_person",
                condition=~Q(status__in=[Status.AUTHENTICATED, Status.CODE_ISSUED])
                | Q(user__isnull=False, is_deferred=False, auth_time__isnull=False)
                | Q(user__isnull=True, is_deferred=True, auth_time__isnull=False),
            ),
            models.CheckConstraint(
                name="lazyauth_pending_code_is_consented",
                condition=~Q(status__in=[Status.CODE_ISSUED, Status.EXCHANGED])
                | Q(code_digest__isnull=False, code_expires_at__isnull=False, consented_at__isnull=False),
            ),
            models.CheckConstraint(
                name="lazyauth_pending_exchanged_has_user",
                condition=~Q(status=Status.EXCHANGED) | Q(user__isnull=False, exchanged_at__isnull=False),
            ),
            # A device proves with its code that it began the request, so it has no verifier (RFC 8628 §3.4). On the
            # word of an organisation there is no request, and nothing before the tokens.
            models.CheckConstraint(
                name="lazyauth_pending_grant_needs",
                condition=Q(Q(grant=GrantKind.CODE) & ~Q(code_challenge=""))
                | Q(grant=GrantKind.DEVICE, code_challenge="", link_to__isnull=True)
                | Q(grant=GrantKind.ID_JAG, code_challenge="", status=Status.EXCHANGED, is_deferred=False),
            ),
            models.CheckConstraint(
                name="lazyauth_pending_client_auth_known",
                condition=Q(client_auth__in=["", "private_key_jwt"]),
            ),
            models.CheckConstraint(
                name="lazyauth_pending_link_is_no_sign_in",
                condition=Q(link_to__isnull=True)
                | Q(status__in=[Status.REQUESTED, Status.SENT_UPSTREAM, Status.FAILED]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.session_id} ({self.get_status_display()})"

    @property
    def scopes(self) -> list[str]:
        return self.scope.split()

    @property
    def prompts(self) -> frozenset[str]:
        return frozenset(self.prompt.split())

    def count_failure(self, error_class: str) -> int:
        """Record a failed exchange and return the number of failures. Only the class of the error is stored.

        A row that was exchanged all the same is left as it is.
        """
        type(self).objects.filter(NOT_EXCHANGED, pk=self.pk).update(
            failed_attempts=F("failed_attempts") + 1,
            last_error=error_class[:128],
            updated_at=timezone.now(),
            **Noted(Reason.FAULT, self.provider, "exchange", error_class).columns(self),
        )
        return self.failed_attempts + 1


class DeferredRegistration(models.Model):
    """What is written when the code is exchanged. The exchange deletes this row."""

    pending = models.OneToOneField(
        PendingAuthorization, on_delete=models.CASCADE, primary_key=True, related_name="deferred"
    )
    provider = ExactCharField(_("provider"), max_length=PROVIDER_LENGTH)
    subject = ExactCharField(_("subject"), max_length=255)
    # NULL, so that a process of an earlier release can still write its rows while a site is upgraded.
    upstream_sid = ExactCharField(  # type: ignore[misc]  # the class promises a text; only queries read this one
        _("upstream session"), max_length=255, null=True, blank=True
    )
    commit = models.TextField(_("sealed payload"))
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("deferred registration")
        verbose_name_plural = _("deferred registrations")
        # The flows of a person who is not written yet are found by it.
        indexes = [
            models.Index(fields=["provider", "subject"], name="lazyauth_deferred_person"),
            # Logout tokens. MySQL and MariaDB ignore the condition.
            models.Index(
                fields=["upstream_sid"], name="lazyauth_deferred_sid", condition=Q(upstream_sid__isnull=False)
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="lazyauth_deferred_names_person", condition=~Q(provider="") & ~Q(subject="")
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider} for {self.pending_id}"
