"""User models whose e-mail address is unique, each in another way. ``UNIQUE_ADDRESSES`` names one."""

from __future__ import annotations

import os

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

KIND = os.environ.get("UNIQUE_ADDRESSES", "column")
NAME = "one_person_an_address"
CONSTRAINTS = {
    "constraint": models.UniqueConstraint(fields=["email"], name=NAME),
    "constraint-null": models.UniqueConstraint(fields=["email"], name=NAME),
    "lower": models.UniqueConstraint(Lower("email"), name=NAME),
    "lower-null": models.UniqueConstraint(Lower("email"), name=NAME),
    "partial": models.UniqueConstraint(fields=["email"], condition=~Q(email=""), name=NAME),
    "with-another-field": models.UniqueConstraint(fields=["email", "username"], name=NAME),
}


class Person(AbstractUser):
    email = models.EmailField(unique=KIND.startswith("column"), null=KIND.endswith("null"), blank=True)

    class Meta:
        app_label = "unique_addresses"
        constraints = [CONSTRAINTS[KIND]] if KIND in CONSTRAINTS else []
