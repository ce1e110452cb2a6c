"""A user model with what Django asks for and nothing else: no ``is_active`` column, no address."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class Person(AbstractBaseUser):
    name = models.CharField(max_length=150, unique=True)
    USERNAME_FIELD = "name"

    objects = BaseUserManager()

    class Meta:
        app_label = "plain_users"
