"""The demo's upstream: the provider at which the people of the demo have accounts.

A second small Django site, an ordinary OpenID provider built on django-oauth-toolkit alone. It knows nothing
of ``django_lazyauth``. Run it with ``python -m example_project.upstream``, ``prepare_upstream`` first.
"""
