"""I18: no parameter of a request for or with somebody's word yields a fault of ours (RFC 8693, RFC 7523)."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.delegation.test_issue_id_jag import ID_JAG, ID_TOKEN, MCP, THERE
from tests.support import id_jags
from tests.support.delegation import ACCESS_TOKEN, API, GRANT, POLICY, TOOL
from tests.support.journey import OAuthClient, code_for, make_browser, redeem
from tests.tokens.conftest import sign_in
from tests.web.test_fuzz import assert_answer_for_a_client, moderate, queries, send

pytestmark = pytest.mark.django_db

NAMES = [
    *("grant_type", "client_id", "client_secret", "scope", "resource", "audience", "subject_token"),
    *("subject_token_type", "actor_token", "actor_token_type", "requested_token_type", "assertion"),
    *("discovery_domain", "authorization_details"),
]


@pytest.fixture
def forms(upstream, client_, lazyauth):
    """Return good requests: for a token, for an ID-JAG, with an ID-JAG."""
    token = sign_in(OAuthClient(client_.client_id), resources=(TOOL,))["access_token"]
    register(
        client_id="site",
        client_type="confidential",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=False,
    )
    site = OAuthClient("site", CONFIDENTIAL_SECRET)
    of_site = redeem(site, code_for(site)).json()
    id_jags.trust(upstream, lazyauth, reusable=True)
    words = {"clients": {"site": "x"}, "scopes": ["a"], "resources": [MCP]}
    lazyauth(
        INTROSPECTION_CLIENTS={"agent": [TOOL]},
        TOKEN_EXCHANGE={"agent": POLICY | {"actors": True, "upstreams": {"acme": "email"}}},
        ID_JAG_AUDIENCES={THERE: words},
    )
    proved = {"client_id": "agent", "client_secret": CONFIDENTIAL_SECRET}
    about = {"grant_type": GRANT, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
    return {
        "exchange": proved | about | {"audience": API, "scope": "email"},
        "for an ID-JAG": proved
        | about
        | {
            "client_id": "site",
            "subject_token": of_site["id_token"],
            "subject_token_type": ID_TOKEN,
            "requested_token_type": ID_JAG,
            "audience": THERE,
            "resource": MCP,
        },
        "with an ID-JAG": proved
        | {"grant_type": id_jags.GRANT, "assertion": id_jags.assertion(upstream), "resource": id_jags.API},
    }


@pytest.mark.parametrize("kind", ["exchange", "for an ID-JAG", "with an ID-JAG"])
def test_the_token_endpoint_survives_any_request_about_somebody_else(forms, kind):
    form = forms[kind]
    good = urlencode(form).split("&")

    @moderate
    @given(body=queries(NAMES, good), altered=st.sampled_from(sorted(form)), drawn=st.data())
    def anything(body, altered, drawn):
        # As it was, but for one value that is cut somewhere or has something else behind it.
        kept = form[altered][: drawn.draw(st.integers(0, len(form[altered])))]
        nearly = form | {altered: kept + drawn.draw(st.text(max_size=10))}
        for sent in (body, urlencode(nearly, errors="replace")):
            assert_answer_for_a_client(send(make_browser(), "/token", method="POST", body=sent.encode()))

    anything()
    assert send(make_browser(), "/token", method="POST", body=urlencode(form).encode()).status_code == 200
