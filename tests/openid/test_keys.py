"""Keys of configured providers: seeded, kept through outages, renewed once for an unknown key id."""

from __future__ import annotations

import base64
import json
import threading
import time
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from django_lazyauth.errors import IdentityRejected
from django_lazyauth.kit.results import SourceFailed
from django_lazyauth.models import ProviderKeySet
from django_lazyauth.openid import key_fetch, stored_keys
from django_lazyauth.openid.key_fetch import Outcome, backoff, max_age
from django_lazyauth.openid.published import KEY_MEMBERS
from django_lazyauth.providers import key_refresh
from django_lazyauth.providers.registry import get_provider

JWKS, METADATA = "/jwks", "/.well-known/openid-configuration"


def descriptor():
    return key_fetch.configured_descriptor("acme")


def row():
    return ProviderKeySet.objects.get(pk="acme")


def make_due():
    ProviderKeySet.objects.update(next_refresh_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.django_db
class TestRefresh:
    def test_what_is_needed_is_stored(self, upstream):
        """OpenID Connect Discovery §4."""
        assert key_fetch.refresh(descriptor()) is Outcome.STORED
        stored = stored_keys.load(descriptor())
        assert len(stored.keys) == 2
        assert stored.endpoint("token_endpoint", descriptor()) == f"{upstream.issuer}/token"
        assert stored.sends_issuer
        assert "response_types_supported" not in stored.configuration
        assert set(row().jwks["keys"][0]) <= set(KEY_MEMBERS)

    def test_loading_is_one_select(self, upstream, django_assert_num_queries):
        key_fetch.refresh(descriptor())
        with django_assert_num_queries(1):
            stored_keys.load(descriptor())
        assert len(upstream.requests()) == 2

    def test_nothing_is_fetched_before_it_is_due(self, upstream):
        key_fetch.refresh(descriptor())
        assert key_fetch.refresh(descriptor()) is Outcome.SKIPPED
        assert len(upstream.requests(JWKS)) == 1

    def test_an_unchanged_key_set_is_not_sent_again(self, upstream):
        """RFC 9110 §13.1: conditional GET."""
        key_fetch.refresh(descriptor())
        first = row()
        make_due()
        assert key_fetch.refresh(descriptor()) is Outcome.UNCHANGED
        assert upstream.requests(JWKS)[1]["headers"]["if-none-match"] == first.etag
        assert row().jwks == first.jwks
        assert row().fetched_at > first.fetched_at

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [("max-age=300", 300), ("max-age=1", 60), ("public, max-age=86400", 3600), ("no-cache", 900)],
    )
    def test_max_age_is_honoured_between_a_minute_and_an_hour(self, upstream, header, seconds):
        """RFC 9111 §5.2.2.1."""
        upstream.control(cache_control=header)
        key_fetch.refresh(descriptor())
        assert row().next_refresh_at - row().fetched_at == timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        ("levers", "reason"),
        [
            ({"jwks_answer": "500"}, "status"),
            ({"jwks_answer": "html"}, "not_json"),
            ({"jwks_answer": "empty"}, "no_keys"),
            ({"jwks_answer": "huge"}, "too_large"),
            ({"jwks_answer": "101_keys"}, "too_many_keys"),
            ({"jwks_answer": "bomb"}, "too_large"),
            ({"jwks_answer": "close"}, "connect"),
            ({"down": True}, "connect"),
            ({"metadata": {"issuer": "https://other.example"}}, "issuer_mismatch"),
            ({"metadata": {"issuer": None}}, "issuer_mismatch"),
            ({"metadata": {"token_endpoint": None}}, "incomplete"),
            ({"metadata": {"authorization_endpoint": "javascript:alert(1)"}}, "endpoint"),
            ({"metadata": {"jwks_uri": "http://id.example/jwks"}}, "endpoint"),
            ({"metadata": {"token_endpoint": 7}}, "endpoint"),
        ],
    )
    def test_a_bad_answer_never_replaces_good_keys(self, upstream, levers, reason):
        """Spec: a failing or empty refresh never replaces good keys."""
        key_fetch.refresh(descriptor())
        good = row()
        ProviderKeySet.objects.update(etag="")
        upstream.control(**levers)
        with pytest.raises(SourceFailed) as caught:
            key_fetch.refresh(descriptor(), force=True)
        assert caught.value.reason in {reason, "broken"}
        assert (row().jwks, row().configuration, row().fetched_at) == (
            good.jwks,
            good.configuration,
            good.fetched_at,
        )
        assert row().failures == 1
        assert len(stored_keys.load(descriptor()).keys) == 2

    def test_failures_are_backed_off_and_forgotten_with_the_first_success(self, upstream):
        """Spec: 60 s × 2ⁿ to 15 min."""
        upstream.control(down=True)
        for failures, seconds in [(1, 60), (2, 120), (3, 240)]:
            with pytest.raises(SourceFailed):
                key_fetch.refresh(descriptor(), force=True)
            wait = row().next_refresh_at - timezone.now()
            assert row().failures == failures
            assert timedelta(seconds=seconds - 5) < wait <= timedelta(seconds=seconds)
        assert key_fetch.refresh(descriptor()) is Outcome.SKIPPED
        upstream.control(down=False)
        assert key_fetch.refresh(descriptor(), force=True) is Outcome.STORED
        assert row().failures == 0
        assert backoff(50) == timedelta(minutes=15)

    def test_the_site_verifies_while_the_upstream_is_down(self, upstream):
        """Spec: never pending once seeded."""
        key_fetch.refresh(descriptor())
        upstream.control(down=True)
        assert len(stored_keys.load_or_fetch(descriptor()).keys) == 2

    def test_keys_of_another_issuer_are_not_ours(self, upstream, lazyauth):
        """I9: a changed configuration starts from nothing."""
        key_fetch.refresh(descriptor())
        lazyauth(PROVIDERS={"acme": upstream.config(issuer="https://other.example")})
        assert stored_keys.load(descriptor()) is None

    def test_a_template_matches_the_metadatas_own_placeholder(self, upstream, lazyauth):
        """I19: the metadata says {tenantid} where tokens say tid."""
        config = upstream.config(
            issuer=upstream.issuer + "/{tid}/v2.0",
            openid_configuration=upstream.issuer + METADATA,
        )
        lazyauth(PROVIDERS={"acme": config})
        upstream.control(metadata={"issuer": upstream.issuer + "/{tenantid}/v2.0"})
        assert key_fetch.refresh(descriptor()) is Outcome.STORED
        upstream.control(metadata={"issuer": upstream.issuer + "/tenant-a/v2.0"})
        with pytest.raises(SourceFailed, match="issuer_mismatch"):
            key_fetch.refresh(descriptor(), force=True)

    def test_explicit_endpoints_need_no_metadata(self, upstream, lazyauth):
        endpoints = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
        config = {name: f"{upstream.issuer}/{path}" for name, path in endpoints.items()}
        lazyauth(PROVIDERS={"acme": upstream.config(**config)})
        assert key_fetch.refresh(descriptor()) is Outcome.STORED
        assert upstream.requests(METADATA) == []


@pytest.mark.parametrize("header", ["", "max-age", "max-age=x", "s-maxage=5", "xmax-age=5"])
def test_a_missing_max_age_is_a_quarter_of_an_hour(header):
    assert max_age(header) == timedelta(minutes=15)


@pytest.mark.django_db
class TestUnknownKid:
    def test_one_fetch_brings_the_new_keys(self, upstream):
        """I15: and it is the key set alone that is asked for."""
        before = {key.kid for key in stored_keys.load_or_fetch(descriptor()).keys.keys}
        upstream.control(rotate_keys=True)
        renewed = stored_keys.refetch(descriptor())
        assert before.isdisjoint(key.kid for key in renewed.keys.keys)
        assert (len(upstream.requests(JWKS)), len(upstream.requests(METADATA))) == (2, 1)

    def test_the_next_one_within_30_s_fetches_nothing(self, upstream):
        """I15."""
        key_fetch.refresh(descriptor())
        for _ in range(20):
            assert stored_keys.refetch(descriptor()) is not None
        assert len(upstream.requests(JWKS)) == 2

    def test_after_30_s_it_is_asked_again(self, upstream):
        """I15."""
        key_fetch.refresh(descriptor())
        stored_keys.refetch(descriptor())
        ProviderKeySet.objects.update(unknown_kid_at=timezone.now() - timedelta(seconds=31))
        stored_keys.refetch(descriptor())
        assert len(upstream.requests(JWKS)) == 3

    def test_a_failure_counts_as_the_one_fetch_and_keeps_the_keys(self, upstream, caplog):
        """I15."""
        key_fetch.refresh(descriptor())
        upstream.control(down=True)
        assert len(stored_keys.refetch(descriptor()).keys) == 2
        ProviderKeySet.objects.update(unknown_kid_at=timezone.now() - timedelta(seconds=10))
        stored_keys.refetch(descriptor())
        assert len(upstream.requests(JWKS)) == 2
        assert "acme" in caplog.text

    def test_a_fetch_for_a_token_is_not_conditional(self, upstream):
        """Some servers keep the ETag of a file that changed."""
        key_fetch.refresh(descriptor())
        stored_keys.refetch(descriptor())
        assert "if-none-match" not in upstream.requests(JWKS)[1]["headers"]

    def test_a_fetch_for_a_token_puts_no_refresh_off(self, upstream):
        """Else bad tokens could keep the metadata as it is for ever."""
        key_fetch.refresh(descriptor())
        before = row()
        stored_keys.refetch(descriptor())
        assert row().fetched_at > before.fetched_at
        assert (row().fresh_until, row().next_refresh_at) == (before.fresh_until, before.next_refresh_at)

    def test_a_key_that_kept_its_id_is_replaced_in_the_same_request(self, upstream):
        """Spec: a known ``kid`` whose signature fails."""
        key_fetch.refresh(descriptor())
        upstream.control(rotate_keys="same_kid")
        token = upstream.id_token()
        assert get_provider("acme").verify(token, nonce="n").subject == "person-1"
        assert len(upstream.requests(JWKS)) == 2

    def test_a_key_whose_type_changed_is_replaced_in_the_same_request(self, upstream):
        """Its id stayed, and the stored key of that id signs with another algorithm."""
        key_fetch.refresh(descriptor())
        upstream.control(rotate_keys="other_type")
        for algorithm in ("RS256", "ES256"):
            upstream.control(algorithm=algorithm)
            token = upstream.id_token()
            assert get_provider("acme").verify(token, nonce="n").subject == "person-1"
        assert len(upstream.requests(JWKS)) == 2

    def test_a_key_of_another_type_is_asked_for_once(self, upstream):
        """I15: one counter."""
        key_fetch.refresh(descriptor())
        stored_keys.refetch(descriptor())
        upstream.control(rotate_keys="other_type")
        for _ in range(3):
            with pytest.raises(IdentityRejected, match="alg"):
                get_provider("acme").verify(upstream.id_token(), nonce="n")
        assert len(upstream.requests(JWKS)) == 2

    @pytest.mark.parametrize("algorithm", ["none", "HS256", "PS512"])
    def test_an_algorithm_that_no_key_has_is_no_reason_to_ask(self, upstream, algorithm, lazyauth, settings):
        """I15."""
        entry = upstream.config(algorithms=["RS256", "ES256"])
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": entry})
        key_fetch.refresh(descriptor())
        header = json.dumps({"alg": algorithm, "kid": "rs-1"}).encode()
        head = base64.urlsafe_b64encode(header).rstrip(b"=").decode()
        token = ".".join([head, *upstream.id_token().split(".")[1:]])
        with pytest.raises(IdentityRejected, match="alg"):
            get_provider("acme").verify(token, nonce="n")
        assert len(upstream.requests(JWKS)) == 1

    @pytest.mark.slow
    @pytest.mark.timeout(600)
    def test_i15_ten_thousand_bad_signatures_are_one_fetch_in_30_s(self, upstream):
        key_fetch.refresh(descriptor())
        good, provider = upstream.id_token(), get_provider("acme")
        began = time.monotonic()
        for number in range(10_000):
            bad = good[:-8] + f"{number:06d}AA"
            with pytest.raises(IdentityRejected, match="signature"):
                provider.verify(bad, nonce="n")
        assert len(upstream.requests(JWKS)) <= 2 + (time.monotonic() - began) // 30
        assert get_provider("acme").verify(upstream.id_token(), nonce="n").subject == "person-1"

    def test_unknown_keys_and_bad_signatures_share_one_fetch(self, upstream):
        """I15: one counter."""
        key_fetch.refresh(descriptor())
        stored_keys.refetch(descriptor())
        upstream.control(rotate_keys="same_kid")
        for _ in range(3):
            with pytest.raises(IdentityRejected, match="signature"):
                get_provider("acme").verify(upstream.id_token(), nonce="n")
        assert len(upstream.requests(JWKS)) == 2

    def test_an_unseeded_provider_is_no_error(self, upstream):
        assert stored_keys.refetch(descriptor()) is None


@pytest.mark.django_db(transaction=True)
def test_of_many_threads_one_fetches_and_all_get_the_new_keys(upstream):
    """I15: a conditional UPDATE decides, so processes are no different from threads."""
    before = {key.kid for key in stored_keys.load_or_fetch(descriptor()).keys.keys}
    upstream.control(rotate_keys=True)
    found = []

    def run():
        try:
            found.append({key.kid for key in stored_keys.refetch(descriptor()).keys.keys})
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(upstream.requests(JWKS)) == 2
    assert len(found) == 16
    assert all(kids.isdisjoint(before) for kids in found)


@pytest.mark.django_db
class TestCommand:
    def test_each_provider_gets_a_line(self, upstream, capsys):
        call_command("refresh_provider_keys")
        assert capsys.readouterr().out == "acme: stored\n"

    def test_a_failure_is_told_and_ends_with_1(self, upstream, capsys, lazyauth, settings):
        lazyauth(
            PROVIDERS={
                **settings.LAZYAUTH["PROVIDERS"],
                "wrong": {"issuer": upstream.issuer, "client_id": "", "client_secret": "hidden"},
                "off": {"issuer": upstream.issuer, "client_id": "x", "enabled": False},
            }
        )
        upstream.control(jwks_answer="empty")
        with pytest.raises(CommandError) as caught:
            call_command("refresh_provider_keys")
        assert caught.value.returncode == 1
        told = capsys.readouterr().err
        assert "acme: failed (no_keys)" in told
        assert 'wrong: failed ("client_id" is empty (is its variable of the environment set?)' in told
        assert "off" not in told
        assert "hidden" not in told

    def test_a_name_that_is_not_configured_is_told_with_those_that_are(self, upstream):
        with pytest.raises(CommandError, match=r"^no provider with keys nobody; there (is|are) "):
            call_command("refresh_provider_keys", "nobody")

    def test_the_schedule_refreshes_what_is_due(self, upstream):
        assert [report.outcome for report in key_refresh.refresh_providers()] == [Outcome.STORED]
        assert [report.outcome for report in key_refresh.refresh_providers()] == [Outcome.SKIPPED]
