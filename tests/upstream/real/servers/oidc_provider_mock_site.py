"""oidc-provider-mock, which makes a key of its own whenever it is made anew."""

import os

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import oidc_provider_mock
from process import serve


class Site:
    def __init__(self, issuer, key):
        self.wsgi = oidc_provider_mock.app()

    def knows(self, sub, claims):
        answer = self.wsgi.test_client().put(f"/users/{sub}", json=claims)
        assert answer.status_code == 204, answer.text


serve(Site)
