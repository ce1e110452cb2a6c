"""The boundary to django-oauth-toolkit (DOT): nothing else in this package imports it.

Its models by name, settings, scopes backend, signals and admin, and its reader of client metadata documents.

Not here: how a request is answered. Our endpoints ask nothing of DOT's views and validator.
"""
