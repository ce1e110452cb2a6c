"""A site that signed people in with another app, and moves over: the same database, before and after.

``OLD_SITE_APP`` is ``allauth`` or ``social-auth``, ``OLD_SITE_STAGE`` is ``before`` or ``after``.
"""
