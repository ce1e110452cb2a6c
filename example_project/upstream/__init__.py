"""The demo's upstream: the provider that its people already have an account with.

A second small Django site, an ordinary OpenID provider built on django-oauth-toolkit alone. It knows nothing
of ``django_lazyauth``. Run it with ``python -m example_project.upstream``, ``prepare_upstream`` first.
"""
