"""Contracts for the tests of a host: what its own classes must do.

Mix a contract into a test class that has a database, and return the class under test::

    from django.test import TestCase
    from django_lazyauth.testing import RegistrationStoreContract


    class MyStoreTests(RegistrationStoreContract, TestCase):
        def make_store(self):
            return MyStore()
"""

from .contracts import RegistrationStoreContract

__all__ = ["RegistrationStoreContract"]
