"""Lines about devices without a browser."""

from __future__ import annotations

from .mutation import Mutation

JOURNEY = "device/test_journey.py::"
PHISHING = "device/test_phishing.py::"
GRANT = "grants/device/device_code.py"

MUTATIONS = (
    Mutation(
        "device-consent",
        "web/flow.py",
        "    if pending.grant == GrantKind.DEVICE or consent_needed(",
        "    if consent_needed(",
        (JOURNEY + "test_consent_is_always_asked",),
        "Consent for a device is asked each time.",
        "I8",
    ),
    Mutation(
        "device-code-of-another-client",
        GRANT,
        "    if row is None or row.client_id != client.pk or row.status in",
        "    if row is None or row.status in",
        (JOURNEY + "test_another_client_gets_nothing_for_the_code",),
        "A device code is good for its own client only.",
        "I8",
    ),
    Mutation(
        "device-slow-down",
        GRANT,
        "    is_too_soon = now < row.next_poll_at - TOLERANCE",
        "    is_too_soon = False",
        (JOURNEY + "test_polling_each_second_is_slowed_to_sixty_seconds",),
        "Who polls too soon is slowed down (RFC 8628 §3.5).",
    ),
    Mutation(
        "device-poll-is-kept",
        "grants/endpoint.py",
        " and not outcome.is_kept:",
        ":",
        (JOURNEY + "test_polling_each_second_is_slowed_to_sixty_seconds",),
        "A poll is counted although its answer is an error.",
    ),
    Mutation(
        "device-answer-is-kept",
        GRANT,
        "(spent, *kept))",
        "(spent,))",
        (JOURNEY + "test_an_answer_that_was_lost_is_given_again",),
        "A device that lost its answer gets it again.",
        "I10",
    ),
    Mutation(
        "device-in-use",
        "authorize/device.py",
        "    if row.pending is None or row.pending.binding_digest not in own:",
        "    if row.pending is None:",
        (JOURNEY + "test_two_browsers_claim_one_code_and_one_has_it",),
        "A claimed code is one browser's.",
        "I7",
    ),
    Mutation(
        "device-guesses",
        "authorize/user_code.py",
        '    return of_network if of_network is not Verdict.WITHIN else WRONG_IN_ALL.judge("")',
        "    return Verdict.WITHIN",
        (PHISHING + "test_the_eleventh_wrong_code_is_not_looked_up",),
        "Wrong user codes are counted.",
    ),
    Mutation(
        "device-strangers",
        "authorize/device_request.py",
        "    return flow if flow.strangers or not clients.is_self_registered(client) else None",
        "    return flow",
        (JOURNEY + "test_strangers_only_where_the_operator_says_so",),
        "Strangers ask for devices only where the operator says so.",
    ),
    Mutation(
        "device-denied",
        "sign_in/leg.py",
        "            if pending.grant == GrantKind.DEVICE:",
        "            if False:",
        (JOURNEY + "test_deny_ends_it_for_the_device",),
        "A device hears that it was denied.",
    ),
    Mutation(
        "device-of-a-disabled-client",
        "sessions/end.py",
        "        flows.end_devices_of(keys)",
        "        pass",
        ("device/test_ending.py::test_a_client_that_is_disabled_ends_its_devices_for_good",),
        "What a device waits for ends with its client.",
        "I21",
    ),
)
