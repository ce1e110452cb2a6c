"""May this request pass? Check access tokens of an issuer, on its own site or another (RFC 9068 §4, RFC 6750).

Needs Django, Django REST framework and a cache. Needs neither django-oauth-toolkit nor a model of this package.
A host uses :mod:`.authentication`, :mod:`.permissions` and :mod:`.verifier`.
"""
