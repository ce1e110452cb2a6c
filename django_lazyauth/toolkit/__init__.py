"""The boundary to django-oauth-toolkit and oauthlib: nothing else in this package imports them.

Clients, tokens and grant validation are theirs; we keep codes in our own row, write everything of an
exchange in one transaction, and refuse what OAuth 2.1 dropped.
"""
