"""Lines of the client side."""

from __future__ import annotations

from .mutation import Mutation

ROOM = "client/"
REFRESHING = "client/test_refreshing.py::"
SIGN_IN = "client/test_sign_in.py::"
STORE = "client/test_store.py::"

MUTATIONS = (
    Mutation(
        "client-waited-in-vain",
        ROOM + "refresh.py",
        "        if not is_first:",
        "        if False:",
        (REFRESHING + "test_a_caller_who_waited_in_vain_posts_nothing",),
        "Who waited for the refresh of another process sends no second request.",
    ),
    Mutation(
        "client-rotated-meanwhile",
        ROOM + "refresh.py",
        "        if kept.rotating != seen.rotating:",
        "        if False:",
        (REFRESHING + "test_a_caller_by_force_gets_what_another_got_meanwhile",),
        "What another process got is used, and its refresh token is not spent again.",
    ),
    Mutation(
        "client-token-of-another-server",
        ROOM + "refresh.py",
        "    if not provider.serves(account):",
        "    if False:",
        (REFRESHING + "test_nothing_to_refresh_with_has_a_reason_each",),
        "A refresh token goes to no server but the one that gave it.",
    ),
    Mutation(
        "client-signed-out-meanwhile",
        ROOM + "store.py",
        "            if record is None or kept is None or kept.rotating != old.rotating:",
        "            if record is None or kept is None:",
        (REFRESHING + "test_a_sign_in_during_the_request_stands",),
        "A refresh that is under way does not replace the tokens of a new sign-in.",
    ),
    Mutation(
        "client-old-refresh-token",
        ROOM + "store.py",
        '        if with_refresh_token and record.has_refresh_token != "no":',
        "        if with_refresh_token:",
        (STORE + "test_a_refresh_token_that_could_not_be_removed_never_comes_back",),
        "A refresh token that the keyring kept against our will is not used.",
    ),
    Mutation(
        "client-answer-of-another-server",
        ROOM + "sign_in/loopback.py",
        """    if answer.get("iss", "" if server.sends_issuer else server.issuer) != server.issuer:""",
        "    if False:",
        (SIGN_IN + "test_an_answer_of_another_server_or_without_code_stores_nothing",),
        "A code of another server is not redeemed (RFC 9207).",
    ),
    Mutation(
        "client-state",
        ROOM + "sign_in/loopback.py",
        "                if parts.path != _PATH or not is_ours or len(pairs) != len(answer):",
        "                if parts.path != _PATH or len(pairs) != len(answer):",
        (SIGN_IN + "test_requests_with_another_state_neither_end_nor_win_the_sign_in",),
        "A page that guesses the port cannot bring its own code.",
    ),
)
