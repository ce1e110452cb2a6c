"""Take the access tokens of an issuer, on its own site or on another one (RFC 9068 §4, RFC 6750).

Needs Django, Django REST framework and a cache; neither django-oauth-toolkit nor any model of this package.
What a host uses is in :mod:`.authentication`, :mod:`.permissions` and :mod:`.verifier`.
"""
