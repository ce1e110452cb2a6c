"""For the tests of a host: what its own classes must do to take a place here.

Mix a contract into a test class that has a database, and name what is tested::

    from django.test import TestCase
    from django_lazyauth.testing import RegistrationStoreContract


    class MyStoreTests(RegistrationStoreContract, TestCase):
        def make_store(self):
            return MyStore()
"""

from .contracts import RegistrationStoreContract

__all__ = ["RegistrationStoreContract"]
