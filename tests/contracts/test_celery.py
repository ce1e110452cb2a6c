"""What the product uses of Celery that its documentation does not promise: one test per use."""

from __future__ import annotations

from celery import Celery, _state


def test_a_callback_is_called_for_each_app_that_is_finalized():
    """``tasks.py`` adds the schedule there, as ``shared_task`` adds tasks."""
    seen = []
    assert _state.connect_on_app_finalize(seen.append) == seen.append
    try:
        app = Celery("later", set_as_current=False)
        assert seen == []
        app.finalize()
        assert seen == [app]
    finally:
        _state._on_app_finalizers.discard(seen.append)


def test_apps_that_there_are_can_be_listed_and_say_whether_they_are_finalized():
    """``tasks.py``: such an app is not announced again."""
    app = Celery("earlier", set_as_current=False)
    assert app in list(_state._get_active_apps())
    assert not app.finalized
    assert not app.configured
    app.finalize()
    assert app.finalized
