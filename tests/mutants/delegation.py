"""Lines about clients that act for a person."""

from __future__ import annotations

from .mutation import Mutation

EXCHANGE = "delegation/test_exchange.py::"
UPSTREAM = "delegation/test_upstream_token.py::"
ID_JAG = "delegation/test_id_jag.py::"
ROOM = "grants/delegation/"

MUTATIONS = (
    Mutation(
        "exchange-meant-for-the-caller",
        ROOM + "delegation.py",
        " if subject is not None and is_meant_for(client, subject) else None",
        " if subject is not None else None",
        (EXCHANGE + "test_i26_only_a_live_access_token_of_a_person_that_is_meant_for_the_caller_is_taken",),
        "A client exchanges tokens that are its own or meant for it.",
        "I26",
    ),
    Mutation(
        "exchange-scopes-of-the-policy",
        ROOM + "delegation.py",
        "    both = held & with_contained(delegation.policy.scopes, hierarchy)",
        "    both = held",
        (EXCHANGE + "test_i26_what_the_policy_does_not_say_is_refused_and_nothing_is_written",),
        "Nobody is delegated a scope that the operator did not name.",
        "I26",
    ),
    Mutation(
        "exchange-scopes-of-the-token",
        ROOM + "delegation.py",
        "    both = held & with_contained(delegation.policy.scopes, hierarchy)",
        "    both = with_contained(delegation.policy.scopes, hierarchy)",
        (EXCHANGE + "test_i26_a_token_with_none_of_the_scopes_gives_nothing",),
        "Nobody is delegated a scope that the person did not allow.",
        "I26",
    ),
    Mutation(
        "exchange-life",
        ROOM + "token_exchange.py",
        "        not_after=subject.access_token.expires,\n",
        "",
        (EXCHANGE + "test_it_lives_no_longer_than_what_it_was_given_for",),
        "What was handed on lives no longer than what it was given for.",
        "I26",
    ),
    Mutation(
        "exchange-depth",
        ROOM + "delegation.py",
        "    if _depth(act) > MAX_ACTORS:",
        "    if _depth(act) > MAX_ACTORS + 1:",
        (EXCHANGE + "test_i26_five_hand_a_token_on_and_not_six",),
        "Five hand a token on, and not six.",
        "I26",
    ),
    Mutation(
        "exchange-ends",
        "tokens/binding.py",
        "        tokens.filter(token_checksum__in=checksums).delete()\n",
        "",
        (EXCHANGE + "test_i11_it_ends_with_the_session_in_every_way",),
        "What was handed on ends with the session.",
        "I11",
    ),
    Mutation(
        "exchange-race",
        ROOM + "token_exchange.py",
        "        write((_touched(delegation), *map(Insert, issued.rows)), prepared.proof)",
        "        write(map(Insert, issued.rows), prepared.proof)",
        ("races/test_delegation.py::test_i26_an_exchange_that_waits_for_the_end_gives_nothing",),
        "Nothing is handed on of a session that ends at the same moment.",
        "I11",
        database="postgresql",
    ),
    Mutation(
        "exchange-upstream-scope",
        ROOM + "upstream_token.py",
        "    if needed is None or not delegation.subject.allow_scopes([needed]):",
        "    if needed is None:",
        (UPSTREAM + "test_i26_the_person_has_to_have_allowed_the_scope_and_the_operator_the_upstream",),
        "An upstream's token is given where the person allowed the scope.",
        "I26",
    ),
    Mutation(
        "id-jag-once",
        ROOM + "id_jag.py",
        "    if asserted.policy.reusable:\n        return []",
        "    if True:\n        return []",
        (ID_JAG + "test_i25_an_assertion_is_good_once_and_a_refusal_uses_none_up",),
        "An assertion of an organisation is good once.",
        "I25",
    ),
    Mutation(
        "id-jag-audience",
        "openid/people/verify_id_jag.py",
        '    if audiences(claims.get("aud")) != (audience,):',
        '    if audience not in audiences(claims.get("aud")):',
        (ID_JAG + "test_i25_an_assertion_that_is_wrong_in_one_respect_writes_nobody",),
        "An assertion is for this server alone.",
        "I25",
    ),
    Mutation(
        "id-jag-client",
        "openid/people/verify_id_jag.py",
        '    if claims.get("client_id") != client_id:',
        "    if False:",
        (ID_JAG + "test_i25_an_assertion_that_is_wrong_in_one_respect_writes_nobody",),
        "An assertion is for the client that it names.",
        "I25",
    ),
    Mutation(
        "id-jag-named-clients",
        ROOM + "asserted.py",
        "    if client.client_id not in policy.clients:",
        "    if False:",
        (ID_JAG + "test_i26_only_clients_that_the_operator_named_come_with_it",),
        "Clients come with an organisation's word where the operator named them.",
        "I26",
    ),
    Mutation(
        "exchange-bound",
        ROOM + "delegation.py",
        "began_bound=bool(subject.jkt) and not policy.unbound)",
        "began_bound=False)",
        (EXCHANGE + "test_i24_a_bound_token_is_exchanged_for_one_that_is_bound_to_the_callers_key",),
        "A bound token is exchanged by who proves a key.",
        "I24",
    ),
)
