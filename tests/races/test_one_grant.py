"""One refresh token, used at once for two resources of its grant, in many processes."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack

import pytest
from oauth2_provider.models import AccessToken, RefreshToken

from tests.support.journey import code_for, make_browser, post_form, redeem
from tests.support.racers import racer

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

RESOURCES = ("https://api.example/a", "https://api.example/b")
PROCESSES = 4
COPIES = 3


def form_of(client, token, **more):
    return {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": client.client_id,
        **more,
    }


@pytest.mark.slow
def test_i20_of_refreshes_at_once_for_two_resources_one_resource_is_answered(client_):
    """I10, RFC 8707 §2.2: whoever comes later for the other one is told so. The family lives."""
    token = redeem(client_, code_for(client_, resource=list(RESOURCES))).json()["refresh_token"]
    with ExitStack() as stack:
        racers = [
            stack.enter_context(
                racer(
                    work="post",
                    posts=[["/token", form_of(client_, token, resource=RESOURCES[number % 2])]] * COPIES,
                )
            )
            for number in range(PROCESSES)
        ]
        for one in racers:
            one.go()
        told = [Counter(), Counter()]
        for number, one in enumerate(racers):
            told[number % 2].update((status, body) for status, body in one.result())
    winner = 0 if any(status == 200 for status, _ in told[0]) else 1
    [((status, body), count)] = told[winner].items()
    assert (status, count) == (200, PROCESSES // 2 * COPIES), "all of them were told the same"
    assert {(status, json.loads(body)["error"]) for status, body in told[1 - winner]} == {
        (400, "invalid_target")
    }
    assert AccessToken.objects.latest("pk").resource == [RESOURCES[winner]]
    assert RefreshToken.objects.filter(revoked__isnull=True, access_token__isnull=False).count() == 1
    form = form_of(client_, json.loads(body)["refresh_token"], resource=RESOURCES[1 - winner])
    assert post_form(make_browser(), "/token", form).status_code == 200
