"""The columns that the next release of django-oauth-toolkit adds to the model of a host, where it is installed."""

from django.db import migrations
from oauth2_provider.models import AbstractApplication

ADDED = {
    "token_endpoint_auth_method",
    "client_jwks",
    "client_jwks_uri",
    "require_pushed_authorization_requests",
}


class Migration(migrations.Migration):
    dependencies = [("swapped", "0001_initial")]

    operations = [
        migrations.AddField("client", field.name, field.clone())
        for field in AbstractApplication._meta.local_fields
        if field.name in ADDED
    ]
