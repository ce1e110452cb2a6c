"""A user is in the Django groups that their provider says, by ``groups``, ``group_map`` and ``groups_mode``."""

from __future__ import annotations

import logging

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection

from django_lazyauth.models import PendingAuthorization
from tests.api.test_sso_and_identities import send, token_for
from tests.benchmarks.cost import counting
from tests.support.journey import get, make_browser, redeem, start

from .conftest import sign_in_upstream
from .test_returning import acme, at_callback, code_of  # noqa: F401 - `acme` is a fixture

pytestmark = pytest.mark.django_db(transaction=True)

MAP = {"staff": "Editors", "chief": "Editors", "ops": "Operators"}


@pytest.fixture(autouse=True)
def _groups(transactional_db):
    Group.objects.bulk_create(Group(name=name) for name in ("Editors", "Operators", "Friends"))


@pytest.fixture
def signed_in(acme, upstream, client_):  # noqa: F811 - the fixture
    """Sign somebody in of whom this is said, with these keys; return the groups that they are in then."""

    def go(told, /, userinfo="never", **keys):
        acme(**{"groups": "groups", "group_map": MAP, "userinfo": userinfo} | keys)
        upstream.control(claims={"groups": told})
        sign_in_upstream(upstream, client_)
        return held()

    return go


def held():
    return set(get_user_model().objects.get().groups.values_list("name", flat=True))


def test_a_new_user_joins_the_groups_of_the_map(signed_in):
    assert signed_in(["staff", "chief", "unknown"]) == {"Editors"}
    assert Group.objects.count() == 3


def test_i4_a_new_user_joins_in_the_exchange(acme, upstream, client_):  # noqa: F811 - the fixture
    acme(groups="groups", group_map=MAP, userinfo="never")
    code = code_of(upstream, client_, claims={"groups": ["ops"]})
    assert not get_user_model().objects.exists()
    assert redeem(client_, code).status_code == 200
    assert held() == {"Operators"}


def test_a_user_who_comes_back_joins_and_leaves(signed_in):
    signed_in(["staff"])
    assert signed_in(["ops"]) == {"Operators"}
    assert signed_in([]) == set()


def test_a_group_that_the_map_does_not_name_stays(signed_in):
    signed_in(["staff"])
    get_user_model().objects.get().groups.add(Group.objects.get(name="Friends"))
    assert signed_in(["ops"]) == {"Operators", "Friends"}
    assert signed_in(["ops"], group_map={"staff": "Editors"}) == {"Operators", "Friends"}


def test_with_add_nobody_leaves(signed_in):
    signed_in(["staff"])
    assert signed_in(["ops"], groups_mode="add") == {"Editors", "Operators"}
    assert signed_in([], groups_mode="add") == {"Editors", "Operators"}


def test_without_a_map_nothing_is_done_and_nothing_asked(signed_in, upstream, client_):
    assert signed_in(["staff"], group_map={}) == set()
    with counting(connection) as cost:
        at_callback(upstream, client_)
    assert not any("auth_group" in sql for sql in cost.statements)


def test_what_is_right_already_is_read_and_not_written(signed_in, upstream, client_):
    for _ in range(2):
        signed_in(["staff"])
    with counting(connection) as cost:
        at_callback(upstream, client_)
    theirs = [sql for sql in cost.statements if "auth_group" in sql or "auth_user_groups" in sql]
    assert theirs
    assert all(sql.startswith("SELECT") for sql in theirs), theirs


def test_no_group_is_created_and_the_log_names_what_is_missing(signed_in, caplog):
    assert signed_in(["staff", "x"], group_map={"staff": "Nowhere", "x": "Editors"}) == {"Editors"}
    assert "names groups that do not exist: ['Nowhere']" in caplog.text
    assert Group.objects.count() == 3


# --- Where the groups are -------------------------------------------------------------------------------------


def test_userinfo_is_asked_for_groups_that_the_id_token_does_not_have(signed_in, upstream):
    """OpenID Connect Core §5.4."""
    upstream.control(userinfo={"groups": ["staff"]})
    assert signed_in(None, userinfo="auto") == {"Editors"}
    assert len(upstream.requests("/userinfo")) == 1
    assert signed_in(["ops"], userinfo="auto") == {"Operators"}
    assert len(upstream.requests("/userinfo")) == 1


def test_who_is_in_no_group_any_more_leaves_them(signed_in):
    """The claim is gone, and everything was heard."""
    signed_in(["staff"])
    assert signed_in(None, userinfo="auto") == set()


def test_a_userinfo_that_does_not_answer_takes_nobody_out(signed_in):
    signed_in(["staff"])
    assert signed_in(None, userinfo="auto", userinfo_endpoint="http://127.0.0.1:9/u") == {"Editors"}


def test_a_token_of_an_app_without_groups_takes_nobody_out(signed_in, upstream, client_):
    upstream.control(userinfo={"groups": ["staff"]})
    signed_in(None, userinfo="auto")
    for groups, expected in ((None, {"Editors"}), (["ops"], {"Operators"})):
        browser = make_browser()
        start(browser, client_, provider="acme")
        url = f"/authorizations/{PendingAuthorization.objects.latest('created_at').pk}/id-token"
        nonce = get(browser, url).json()["nonce"]
        token = token_for(upstream, nonce, sub="person-1", claims={"groups": groups})
        assert send(browser, url, {"id_token": token}).status_code == 200
        assert held() == expected


def test_groups_that_are_at_another_server_take_nobody_out(acme, upstream, client_, signed_in):  # noqa: F811 - the fixture
    """OpenID Connect Core §5.6.2: Microsoft does so for people in more than 200."""
    signed_in(["staff"])
    upstream.control(claims={"_claim_names": {"groups": "src1"}})
    sign_in_upstream(upstream, client_)
    assert held() == {"Editors"}


@pytest.mark.parametrize("odd", [{"staff": True}, True, 1.5, [["staff"]], [None]])
def test_what_cannot_be_read_takes_nobody_out(signed_in, caplog, odd):
    caplog.set_level(logging.INFO, "django_lazyauth.upstream")
    signed_in(["staff"])
    assert signed_in(odd) == {"Editors"}
    assert "groups (type)" in caplog.text


def test_one_text_is_one_group(signed_in):
    assert signed_in("staff") == {"Editors"}


def test_a_rule_may_look_into_each(signed_in):
    roles = [{"name": "staff"}, {"name": "ops"}, {"other": 1}]
    assert signed_in(roles, groups="groups[*].name") == {"Editors", "Operators"}


def test_of_too_many_groups_those_of_the_map_count(signed_in, caplog):
    caplog.set_level(logging.INFO, "django_lazyauth.upstream")
    many = [f"group-{number}" for number in range(400)]
    assert signed_in([*many, "staff", "x" * 129]) == {"Editors"}
    assert "groups (too_long)" in caplog.text
    assert "group-1" not in caplog.text


def test_an_oauth2_provider_has_groups_too(acme, upstream, client_, lazyauth, settings):  # noqa: F811 - the fixture
    entry = upstream.oauth2_config(groups="orgs[*].login", group_map=MAP)
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": entry})
    for orgs, expected in (([{"login": "staff"}], {"Editors"}), ([], set())):
        upstream.control(user={"id": 1, "orgs": orgs})
        sign_in_upstream(upstream, client_)
        assert held() == expected
