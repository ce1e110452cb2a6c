"""Lines about how strongly a person signed in, and what a scope is good for."""

from __future__ import annotations

from .mutation import Mutation

WANTED = "authorize/test_wanted_acr.py::"
PERMISSION = "resource_server/test_step_up.py::"

MUTATIONS = (
    Mutation(
        "acr-is-asked",
        "authorize/first_step.py",
        "    return user if asked.wanted_acr.allows(how.acr) else None",
        "    return user",
        (WANTED + "test_who_signed_in_more_weakly_signs_in_again_and_the_token_says_how",),
        "Who signed in more weakly signs in again.",
    ),
    Mutation(
        "essential-acr-after-the-upstream",
        "sign_in/complete.py",
        "    if not is_strong_enough(pending, success.acr):",
        "    if False:",
        (WANTED + "test_what_is_essential_and_not_reached_gives_no_code",),
        "What is essential and not reached gives no code.",
    ),
    Mutation(
        "essential-acr-of-the-browser",
        "sign_in/complete.py",
        "    if not is_strong_enough(pending, how.acr):",
        "    if False:",
        (WANTED + "test_i8_a_weaker_sign_in_in_another_tab_does_not_answer_the_page",),
        "A weaker sign-in in another tab does not answer the page.",
    ),
    Mutation(
        "our-classes-are-stated-by-a-map",
        "openid/requests/context_classes.py",
        '    return "" if stated in ours else stated',
        "    return stated",
        (WANTED + "test_i19_who_runs_a_provider_states_none_of_our_classes",),
        "A provider states a class of ours only where the operator maps it.",
    ),
    Mutation(
        "a-weak-token-is-refused",
        "resource_server/permissions.py",
        "    return not wanted or auth.acr in wanted",
        "    return True",
        (PERMISSION + "test_a_token_of_a_weaker_sign_in_is_told_what_is_needed",),
        "A token of a weaker sign-in does not pass.",
    ),
    Mutation(
        "an-old-token-is-refused",
        "resource_server/permissions.py",
        "    return since is not None and timezone.now() - since <= timedelta(seconds=max_age) + LEEWAY",
        "    return since is not None",
        (PERMISSION + "test_an_older_sign_in_is_told_the_age_that_is_needed",),
        "A token of an older sign-in does not pass.",
    ),
    Mutation(
        "a-sign-in-to-come",
        "openid/access_token.py",
        "    return datetime.fromtimestamp(found, UTC) if found <= now.timestamp() + LEEWAY else None",
        "    return datetime.fromtimestamp(found, UTC)",
        (PERMISSION + "test_a_sign_in_to_come_is_no_recent_one",),
        "A sign-in in the future would be recent for ever.",
    ),
    Mutation(
        "scopes-of-the-sign-in-in-challenges",
        "resource_server/challenge.py",
        '" ".join(one for one in scope.split() if one not in OF_THE_SIGN_IN)',
        "scope",
        ("resource_server/test_challenge.py::test_a_challenge_never_names_a_scope_of_the_sign_in",),
        "A challenge names no scope that no resource needs.",
    ),
    Mutation(
        "refresh-tokens-with-offline-access-only",
        "tokens/issue.py",
        "        if grantee.is_offline and clients.may_refresh(grantee.client):",
        "        if clients.may_refresh(grantee.client):",
        ("web/test_step_up.py::test_an_operator_may_give_refresh_tokens_with_offline_access_only",),
        "Without offline_access no refresh token is told, where the operator says so.",
    ),
)
