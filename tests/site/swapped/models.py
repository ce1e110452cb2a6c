from django.db import models
from oauth2_provider.models import AbstractApplication, ApplicationManager


class Client(AbstractApplication):
    note = models.CharField(max_length=32, blank=True)

    objects = ApplicationManager()

    def natural_key(self):
        return (self.client_id,)
