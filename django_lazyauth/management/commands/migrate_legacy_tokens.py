"""``manage.py migrate_legacy_tokens``: see :mod:`django_lazyauth.legacy.command` and docs/upgrading.md."""

from django_lazyauth.legacy.command import Command

__all__ = ["Command"]
