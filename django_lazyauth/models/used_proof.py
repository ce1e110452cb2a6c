"""What was signed to be used once, and was used (I24, I25)."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_lazyauth.kit.crypto.single_use import use_digest


class ProofKind(models.TextChoices):
    """What was signed. A row of one kind says nothing of another."""

    CLIENT_ASSERTION = "client_assertion", _("client assertion")
    DPOP = "dpop_proof", _("DPoP proof")
    ID_JAG = "id_jag", _("word of an organisation")


class UsedProof(models.Model):
    """A signed statement that is good once. The unique digest decides which of two at once is the first.

    The digest is of kind, signer and ``jti``. Nothing of the statement can be read from it.
    """

    id = models.BigAutoField(primary_key=True)
    digest = models.CharField(_("digest"), max_length=64)
    kind = models.CharField(_("kind"), max_length=32, choices=ProofKind.choices)
    # A little after it is refused for its age.
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        verbose_name = _("used proof")
        verbose_name_plural = _("used proofs")
        constraints = [
            # Not `unique` at the field: PostgreSQL would get a second index for LIKE, which nobody asks for.
            models.UniqueConstraint(fields=["digest"], name="lazyauth_proof_once"),
            models.CheckConstraint(
                name="lazyauth_proof_kind_known", condition=models.Q(kind__in=ProofKind.values)
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], name="lazyauth_proof_expiry")]

    def __str__(self) -> str:
        return f"{self.kind}, until {self.expires_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def of(cls, kind: ProofKind, *, signer: str, token_id: str, expires_at: datetime) -> UsedProof:
        """Return the unsaved row of one statement.

        Args:
            kind: What was signed.
            signer: Whose ``jti`` it is: a client id, an issuer, or the thumbprint of a key.
            token_id: The ``jti``, which is unique for its signer only.
            expires_at: Until when the row is kept: a little longer than the statement is good.
        """
        return cls(digest=use_digest(kind.value, signer, token_id), kind=kind, expires_at=expires_at)
