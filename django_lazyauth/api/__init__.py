"""Django REST framework: who calls an API with one of our access tokens."""
