"""What a host can listen to. No signal carries a secret.

``user_registered``
    A new person was written: ``user``, ``identity`` (:class:`~django_lazyauth.models.ProviderIdentity`),
    ``session_id``, ``client``. Sent inside the transaction that writes them: a receiver that raises rolls
    everything back. Put outside effects (mail, webhooks) into ``transaction.on_commit``.
``identity_updated``
    What is kept of a person's account at a provider changed: ``user``, ``identity``, ``changed`` (a set of names of
    its fields: ``email``, ``email_verified``, ``name`` and ``claims`` of somebody who came back; ``subject`` alone of
    somebody who was found by an earlier one), ``session_id`` (``None`` where the account was being linked). Sent inside
    the transaction that writes it: a receiver that raises rolls everything back. One that raises
    :class:`~django_lazyauth.errors.RegistrationRefused` says why the person may not sign in.
``finalize_failed``
    The exchange of a code was rolled back by an exception: ``session_id``, ``client_id``, ``provider``,
    ``error_class`` (the exception's class name, never its text), ``attempts``. The code stays redeemable. It is also
    sent where COMMIT was not acknowledged and the database could not be asked: then the code may be spent.
``client_registered``, ``client_updated``, ``client_deleted``
    A client registered itself, replaced its registration, or was deleted: ``client_id``. Sent after the commit; a
    receiver that raises undoes nothing. ``client_deleted`` is also sent for a deletion in the admin, and for a
    client that was never used and is swept.
``upstream_token_refreshed``
    An upstream gave a session new tokens without the person: ``session_id``, ``provider``, ``user_id``,
    ``client_id``, ``version``. Sent after the write.
``upstream_grants_left``
    The last session left a grant of an upstream, whose refresh token waits to be revoked. Sent after the commit. It
    starts the revocation, see :mod:`django_lazyauth.upstream.revocations`.
``upstream_token_expired``
    An upstream refused a refresh token: the person has to sign in there again. ``session_id``, ``provider``,
    ``user_id``, ``client_id``. Sent once per refusal, after the write.
"""

from django.dispatch import Signal

user_registered = Signal()
identity_updated = Signal()
finalize_failed = Signal()
client_registered = Signal()
client_updated = Signal()
client_deleted = Signal()
upstream_token_refreshed = Signal()
upstream_token_expired = Signal()
upstream_grants_left = Signal()
