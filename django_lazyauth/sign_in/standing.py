"""Is what a sign-in rests on still there? Asked again when the person consents (I21).

Whoever disconnects an identity, deactivates a person or disables a provider ends their flows. This check is for a flow
that went on at that moment, and for what is changed without us: by SQL, or in the settings.

The exchange asks the same in the SELECT that locks the code (``grants/authorization_code.py``).
"""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db import router

from django_lazyauth.models import DeferredRegistration, PendingAuthorization, ProviderIdentity
from django_lazyauth.providers.registry import is_on, with_accounts_of


def stands(pending: PendingAuthorization) -> bool:
    """Say whether the person of *pending* may go on: their account, their identity and its provider."""
    if pending.provider and not is_on(pending.provider):
        return False
    using = router.db_for_write(PendingAuthorization)
    if pending.user_id is None:
        deferred = DeferredRegistration.objects.using(using).filter(pk=pending.pk).first()
        return deferred is not None and is_on(deferred.provider)
    user = get_user_model()._base_manager.using(using).filter(pk=pending.user_id).first()
    if user is None or not user.is_active:
        return False
    if pending.identity_id is None:
        return True
    identities = ProviderIdentity.objects.using(using).filter(user_id=pending.user_id)
    identity = identities.filter(pk=pending.identity_id).first()
    if identity is None or not pending.provider:
        # Who was signed in here already was sent to no provider.
        return identity is not None
    # Of a chain, the first leg says who the person is, and the row names the last.
    return any(map(is_on, with_accounts_of(identity.provider)))
