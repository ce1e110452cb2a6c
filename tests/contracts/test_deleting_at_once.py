"""What ``sessions/many`` uses of Django without documentation, at the installed version."""

from __future__ import annotations

import pytest
from django.db.models import Model
from django.db.models.signals import Signal, post_delete, pre_delete

from django_lazyauth.sessions import many
from django_lazyauth.toolkit.models import get_access_token_model

pytestmark = pytest.mark.django_db


def test_a_signal_says_who_listens():
    signal = Signal()
    assert not signal._live_receivers(Model)[0]
    signal.connect(receive := lambda **kwargs: None, Model)
    assert len(signal._live_receivers(Model)[0]) == 1
    assert receive is not None


def test_the_only_listener_to_deleted_access_tokens_is_ours():
    model = get_access_token_model()
    assert len(pre_delete._live_receivers(model)[0]) == 1
    assert not post_delete.has_listeners(model)
    assert many._is_plain()


def test_rows_go_by_one_statement(django_assert_num_queries):
    rows = get_access_token_model().objects.filter(pk=1)
    with django_assert_num_queries(1):
        assert rows._raw_delete("default") == 0
