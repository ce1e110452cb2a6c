"""Lines that bound what a host may add, and what is there without settings."""

from __future__ import annotations

from .mutation import Mutation

CLAIMS = "tokens/test_host_claims.py::"
DEVELOPMENT = "site/test_development.py::"

MUTATIONS = (
    Mutation(
        "claim-of-a-host-has-a-name-of-its-own",
        "tokens/host/claims.py",
        "        if not _is_namespaced(name):",
        "        if not isinstance(name, str):",
        (CLAIMS + "test_a_name_that_is_no_uri_and_claims_without_bounds_are_refused[claims0]",),
        "What a host adds replaces no claim that a verifier relies on.",
    ),
    Mutation(
        "claims-of-a-host-are-bounded",
        "tokens/host/claims.py",
        "    if size > MAX_BYTES:",
        "    if size < 0:",
        (CLAIMS + "test_a_name_that_is_no_uri_and_claims_without_bounds_are_refused[claims11]",),
        "What a host adds fits into a header.",
    ),
    Mutation(
        "chosen-lifetime-is-bounded",
        "conf/scope_rows.py",
        '        return read(duration(at_most=LONGEST_CHOSEN), lifetime(issued_for), "ACCESS_TOKEN_LIFETIME")',
        '        return read(duration(at_most=YEAR), lifetime(issued_for), "ACCESS_TOKEN_LIFETIME")',
        (CLAIMS + "test_a_lifetime_beyond_the_limit_gives_no_token[7200]",),
        "A function gives no token a longer life than check --deploy allows.",
    ),
    Mutation(
        "development-is-on-loopback",
        "conf/development.py",
        "        return lazyauth_settings.issuer_is_loopback\n",
        "        return bool(lazyauth_settings.issuer)\n",
        (DEVELOPMENT + "test_nowhere_else_are_keys_made[True-https://auth.example]",),
        "DEBUG that was left on makes no keys on a server that others reach.",
    ),
    Mutation(
        "hint-of-a-stranger-leads-nobody-away",
        "authorize/first_step.py",
        '    if clients.is_self_registered(asked.client) or "select_account" in asked.prompts:',
        '    if "select_account" in asked.prompts:',
        ("web/test_way_hint.py::test_nobody_is_sent_away_by_the_link_of_a_stranger",),
        "Nobody is sent to a provider by a stranger's link before they read who asks.",
    ),
    Mutation(
        "request-id-forges-no-line",
        "kit/observe/log_context.py",
        "    token = _ids.set(_Ids(given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex))",
        "    token = _ids.set(_Ids(given or uuid.uuid4().hex))",
        ('kit/test_observe.py::test_a_line_names_request_and_session[forged","level":"-False]',),
        "A header puts nothing of its own into the log.",
    ),
    Mutation(
        "label-of-a-stranger",
        "kit/observe/measure.py",
        '    return "sso" if name.startswith("sso:") else name or "none"',
        '    return name or "none"',
        ("kit/test_observe.py::test_domains_of_companies_are_one_label",),
        "No stranger makes time series.",
    ),
)
