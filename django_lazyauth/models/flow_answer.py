"""What a browser got for a form of its flow, sealed, for the same form that comes a second time."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .authorization import PendingAuthorization


class FlowAnswer(models.Model):
    """One final request of one browser: being answered, or answered (I23).

    The digest is keyed with the secret in the binding cookie, and the answer is sealed under a key derived from it.
    The row holds neither, so the database alone reveals no answer and no password that was posted. The digest is
    unique: of concurrent clicks one does the work. A flow that adds an account deletes its row when it ends; then
    its last answer belongs to no row for the moment that it counts.
    """

    id = models.BigAutoField(primary_key=True)
    pending = models.ForeignKey(
        PendingAuthorization,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        verbose_name=_("pending authorization"),
        editable=False,
    )
    request_digest = models.CharField(_("keyed digest of the request"), max_length=64, editable=False)
    sealed = models.TextField(_("sealed answer"), blank=True, editable=False)
    claimed_at = models.DateTimeField(_("claimed at"), default=timezone.now, editable=False)
    answered_at = models.DateTimeField(_("answered at"), null=True, editable=False)

    class Meta:
        verbose_name = _("answer of a flow")
        verbose_name_plural = _("answers of flows")
        constraints = [
            models.UniqueConstraint(fields=["request_digest"], name="lazyauth_answer_once"),
            models.CheckConstraint(
                condition=models.Q(sealed="") | models.Q(answered_at__isnull=False),
                name="lazyauth_answer_sealed_is_answered",
            ),
        ]
        indexes = [
            models.Index(fields=["claimed_at"], name="lazyauth_answer_age"),
        ]

    def __str__(self) -> str:
        return f"answer in {self.pending_id}"
