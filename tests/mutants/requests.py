"""Lines of authorization requests that are pushed or signed."""

from __future__ import annotations

from .mutation import Mutation

PUSHED = "authorize/pushed.py"
OBJECT = "authorize/request_object.py"
OF_PUSHED = "authorize/test_pushed.py::"
OF_OBJECT = "authorize/test_request_object.py::"
HOLDS = OF_OBJECT + "test_i25_an_object_that_does_not_hold_is_refused_by_a_page"

MUTATIONS = (
    Mutation(
        "pushed-expires",
        PUSHED,
        '    if carried["e"] <= time.time():',
        '    if not carried["e"]:',
        (OF_PUSHED + "test_it_expires",),
        "A pushed request is good for 90 seconds.",
    ),
    Mutation(
        "pushed-one-spelling",
        PUSHED,
        "        base64url(text)\n",
        "        text.encode()\n",
        (OF_PUSHED + "test_an_altered_one_is_refused",),
        "One seal has one text, so none is good twice.",
        "I25",
    ),
    Mutation(
        "pushed-is-used",
        "authorize/pending.py",
        "pending.pushed_digest = pending.request_digest if has_acted else None",
        "pending.pushed_digest = None",
        (OF_PUSHED + "test_of_two_browsers_one_gets_a_flow",),
        "Of two browsers with one pushed request one gets a flow.",
        "I25",
    ),
    Mutation(
        "pushed-is-used-at-the-callback",
        "models/authorization.py",
        'spent = {"state_digest": None, "updated_at": now} | USED',
        'spent = {"state_digest": None, "updated_at": now}',
        (OF_PUSHED + "test_i23_a_link_that_leads_straight_to_a_provider_is_not_used_up_by_following_it",),
        "The first who comes back from the only provider uses the request up.",
        "I25",
    ),
    Mutation(
        "pushed-by-a-get",
        "web/authorize.py",
        "_keep(carried, has_acted=False)",
        "_keep(carried)",
        (OF_PUSHED + "test_i23_a_link_that_leads_straight_to_a_provider_is_not_used_up_by_following_it",),
        "To follow a link uses nothing up.",
        "I23",
    ),
    Mutation(
        "pushed-row-stays",
        "models/authorization.py",
        "return ended.forgettable(now)",
        "return ended",
        (OF_PUSHED + "test_it_stays_used_when_the_flow_failed_or_was_swept",),
        "A request stays used while a page can bring it.",
        "I25",
    ),
    Mutation(
        "pushed-page-ages",
        "authorize/signed_request.py",
        "    if found.until <= timezone.now():",
        "    if not found.until:",
        (OF_PUSHED + "test_a_page_that_is_shown_anew_does_not_last_longer",),
        "A page that is shown anew does not carry a request for ever.",
        "I25",
    ),
    Mutation(
        "pushed-another-browser",
        "web/authorize.py",
        "    if digest(binding.secret_of(request, flow.pk)) != flow.binding_digest:",
        "    if not binding.secret_of(request, flow.pk) and not flow.binding_digest:",
        (OF_PUSHED + "test_of_two_browsers_one_gets_a_flow",),
        "A used request leads nobody else anywhere.",
        "I7",
    ),
    Mutation(
        "pushed-only",
        "authorize/request.py",
        "    if not arrival.is_pushed and wants_push and",
        "    if arrival.is_signed and not arrival.is_pushed and wants_push and",
        (OF_PUSHED + "test_a_client_may_want_its_requests_to_be_pushed",),
        "A client that wants pushed requests gets no plain ones.",
    ),
    Mutation(
        "pushed-key",
        "authorize/arrival.py",
        '    if jkt := agreed_key(proof, parameters.get("dpop_jkt", "")):',
        '    if jkt := parameters.get("dpop_jkt", ""):',
        ("authorize/test_pushed_with_key.py::test_i24_a_key_at_the_push_binds_the_code",),
        "A proof at the push binds the code.",
        "I24",
    ),
    Mutation(
        "object-is-signed",
        OBJECT,
        "        check_signed_by(client, decoded, algorithm, key_id)\n",
        "",
        (OF_OBJECT + "test_i25_another_key_signs_nothing",),
        "A signed request is signed by the client.",
        "I25",
    ),
    Mutation(
        "object-is-no-assertion",
        OBJECT,
        '    if claims.get("sub") == client_id:',
        '    if claims.get("sub") == "":',
        (OF_OBJECT + "test_i25_an_assertion_is_no_request",),
        "A client assertion is no request.",
        "I25",
    ),
    Mutation(
        "object-audience",
        OBJECT,
        '    if lazyauth_settings.issuer not in audiences(claims.get("aud")):',
        '    if not audiences(claims.get("aud")):',
        (HOLDS,),
        "A request that was signed for another server is refused.",
        "I25",
    ),
    Mutation(
        "object-names-no-other",
        OBJECT,
        "    if any(name in claims for name in NEVER_INSIDE):",
        "    if all(name in claims for name in NEVER_INSIDE):",
        (HOLDS,),
        "A signed request holds no other one.",
    ),
    Mutation(
        "object-lives-an-hour",
        OBJECT,
        "expires_at > begins[0] + LONGEST_LIFETIME",
        "expires_at < begins[0]",
        (HOLDS,),
        "A signed request is good for an hour at most.",
    ),
    Mutation(
        "object-is-used",
        OBJECT,
        "Arrival(is_signed=True, single_use=single_use)",
        "Arrival(is_signed=True)",
        (OF_OBJECT + "test_i25_an_object_is_good_for_one_flow",),
        "A signed request is good for one flow.",
        "I25",
    ),
)
