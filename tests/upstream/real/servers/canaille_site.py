"""Canaille with its own pages, over its database in memory."""

import sys
from datetime import UTC, datetime

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from process import serve

CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, SIGNED_OUT_URI = sys.argv[1:]


class Site:
    def __init__(self, issuer, key):
        self.wsgi = create_app(
            {
                "SECRET_KEY": "of the sessions",
                "SERVER_NAME": issuer.removeprefix("http://"),
                "PREFERRED_URL_SCHEME": "http",
                "CANAILLE": {"DATABASE": "memory", "LOGGING": {"version": 1}},
                "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
            },
            init_backend=True,
        )
        client = models.Client(
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            client_id_issued_at=datetime.now(UTC),
            client_name="The site of the tests",
            redirect_uris=[REDIRECT_URI],
            post_logout_redirect_uris=[SIGNED_OUT_URI],
            token_endpoint_auth_method="client_secret_basic",
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            scope=["openid", "profile", "email"],
        )
        # As its registration endpoint does: saved, it can be an audience.
        self.save(client)
        client.audience = [client]
        self.save(client)

    def save(self, instance):
        with self.wsgi.app_context():
            Backend.instance.save(instance)

    def knows(self, sub, claims):
        with self.wsgi.app_context():
            user = Backend.instance.get(models.User, user_name=sub)
        user = user or models.User(user_name=sub, password="a password of canaille")
        user.formatted_name = claims["name"]
        user.family_name = claims["name"].split()[-1]
        user.emails = [claims["email"]]
        self.save(user)


serve(Site)
