"""What no committed state may hold, whatever failed: one function a promise, each true at every moment."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth import get_user_model
from django.db.models import Count, F
from oauth2_provider.models import AccessToken, IDToken, RefreshToken

from django_lazyauth.models import (
    ClientRegistration,
    DeferredRegistration,
    GrantState,
    PendingAuthorization,
    ProofKind,
    ProviderIdentity,
    SubjectIdentifier,
    TokenFacts,
    UpstreamGrant,
    UpstreamToken,
    UsedProof,
)
from django_lazyauth.models.authorization import Status
from django_lazyauth.vault import store
from tests.faults.paths import PREFIX
from tests.vault.test_canary import database_text


def i1_tokens_come_of_exchanged_codes_only() -> bool:
    exchanged = PendingAuthorization.objects.filter(status=Status.EXCHANGED).values("pk")
    living = RefreshToken.objects.filter(revoked__isnull=True)
    return not living.exclude(token_family__in=exchanged).exists()


def i3_a_user_has_an_identity() -> bool:
    return not get_user_model().objects.exclude(pk__in=_with_identity()).exists()


def i3_tokens_have_a_user_with_an_identity() -> bool:
    # A grant that is leaving is nobody's any more.
    grants = UpstreamGrant.objects.exclude(state=GrantState.LEAVING)
    of_a_person = (AccessToken, RefreshToken, IDToken, UpstreamToken, SubjectIdentifier)
    tokens = [model.objects.all() for model in of_a_person]
    return not any(rows.exclude(user_id__in=_with_identity()).exists() for rows in (*tokens, grants))


def i4_a_code_that_was_not_redeemed_wrote_nobody() -> bool:
    # Of somebody who was known at the callback only the tokens wait.
    unknown = DeferredRegistration.objects.filter(pending__user__isnull=True)
    waiting = unknown.values_list("provider", "subject")
    written = set(ProviderIdentity.objects.values_list("provider", "subject"))
    return written.isdisjoint(waiting)


def i4_a_deferred_flow_has_no_upstream_tokens() -> bool:
    deferred = DeferredRegistration.objects.values("pending_id")
    return not UpstreamToken.objects.filter(session_id__in=deferred).exists()


def i5_an_identity_has_one_user() -> bool:
    twice = ProviderIdentity.objects.values("provider", "subject").annotate(n=Count("pk")).filter(n__gt=1)
    return not twice.exists()


def i6_an_equal_address_links_nobody() -> bool:
    """All people of these flows have one address. Those who add an account on purpose have a name of their own."""
    owners = get_user_model().objects.exclude(username__startswith="user-")
    return not owners.annotate(n=Count("provider_identities")).filter(n__gt=1).exists()


def i8_a_code_has_a_consent_and_a_person() -> bool:
    coded = PendingAuthorization.objects.filter(status__in=[Status.CODE_ISSUED, Status.EXCHANGED])
    nobody = coded.filter(user__isnull=True, deferred__isnull=True)
    return not (coded.filter(consented_at__isnull=True).exists() or nobody.exists())


def i9_a_state_waits_in_one_flow_that_is_upstream() -> bool:
    waiting = PendingAuthorization.objects.filter(state_digest__isnull=False)
    return not waiting.exclude(status=Status.SENT_UPSTREAM).exists()


def i10_a_family_has_one_refresh_token_that_works() -> bool:
    living = RefreshToken.objects.filter(revoked__isnull=True).values("token_family")
    return not living.annotate(n=Count("pk")).filter(n__gt=1).exists()


def i11_what_ended_left_nothing() -> bool:
    """A family without a refresh token that works has no access token and no upstream token."""
    living = RefreshToken.objects.filter(revoked__isnull=True).values("token_family")
    ended = RefreshToken.objects.exclude(token_family__in=living)
    access = AccessToken.objects.filter(pk__in=ended.values("access_token_id"))
    upstream = UpstreamToken.objects.filter(session_id__in=ended.values("token_family"))
    return not (access.exists() or upstream.exists())


def i11_a_grant_has_a_session() -> bool:
    return not UpstreamGrant.objects.exclude(state="leaving").unused().exists()


def i12_a_sealed_value_opens_at_its_own_place() -> bool:
    row = UpstreamToken.objects.order_by("-pk").first()
    if row is None:
        return True
    bundle = store.get(row.session_id, row.provider, user_id=row.user_id, client_id=row.client_id)
    return bundle.access_token.startswith(PREFIX)


def i13_no_upstream_token_stands_in_the_clear() -> bool:
    return PREFIX not in database_text()


def i16_an_unused_client_has_a_place_under_the_cap() -> bool:
    strangers = ClientRegistration.objects.filter(source="open", last_used_at__isnull=True)
    return not strangers.filter(expires_at__isnull=True, slot__isnull=False).exists()


def i20_no_token_has_more_than_the_grant() -> bool:
    granted = dict(PendingAuthorization.objects.values_list("pk", "scope"))
    tokens = AccessToken.objects.annotate(family=F("refresh_token__token_family")).filter(
        family__isnull=False
    )
    return all(
        set(token.scope.split()) <= set(granted[token.family].split())
        for token in tokens
        if token.family in granted
    )


def i24_a_bound_token_has_its_facts_and_they_have_a_token() -> bool:
    """What is known of a token stands with it: else nobody could tell whose key it needs, or a fact outlived it."""
    facts = set(TokenFacts.objects.values_list("token_checksum", flat=True))
    tokens = set(AccessToken.objects.values_list("token_checksum", flat=True))
    bound = PendingAuthorization.objects.exclude(jkt="").values("pk")
    of_bound = RefreshToken.objects.filter(token_family__in=bound, revoked__isnull=True)
    newest = set(of_bound.values_list("access_token__token_checksum", flat=True))
    return facts <= tokens and newest <= facts


def i24_a_session_that_has_a_key_used_a_proof() -> bool:
    proofs = UsedProof.objects.filter(kind=ProofKind.DPOP).count()
    return proofs >= TokenFacts.objects.exclude(jkt="").count()


def i26_a_token_that_was_handed_on_says_who_acts_in_a_session_that_lives() -> bool:
    living = RefreshToken.objects.filter(revoked__isnull=True).values("token_family")
    handed_on = AccessToken.objects.filter(application__client_id__startswith="tool-")
    facts = TokenFacts.objects.filter(act__isnull=False, session_id__in=living)
    return not handed_on.exclude(token_checksum__in=facts.values("token_checksum")).exists()


def _with_identity() -> object:
    return ProviderIdentity.objects.values("user_id")


PROMISES: list[Callable[[], bool]] = [
    value
    for name, value in list(globals().items())
    if name.startswith("i") and "_" in name and callable(value)
]


def broken() -> list[str]:
    """Return the names of the promises that the rows break."""
    return [promise.__name__ for promise in PROMISES if not promise()]
