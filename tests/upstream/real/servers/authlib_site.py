"""A provider of Authlib for Flask. Its client authenticates by ``client_secret_post``; its metadata do not say so.

Not here: a password. The page asks for a name.
"""

import os
import secrets
import sys
import time
from dataclasses import dataclass

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import AuthorizationCodeMixin, OpenIDCode
from flask import Flask, jsonify, request
from process import serve

CLIENT_ID, CLIENT_SECRET, REDIRECT_URI = sys.argv[1:4]
PAGE = """<form method=post><input name=login><button name=action value=allow>Sign in</button>
<button name=action value=cancel>Cancel</button></form>"""

people, codes, refresh_tokens = {}, {}, {}


class Client(ClientMixin):
    client_id = CLIENT_ID

    def get_client_id(self):
        return CLIENT_ID

    def get_default_redirect_uri(self):
        return REDIRECT_URI

    def get_allowed_scope(self, scope):
        return scope

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri == REDIRECT_URI

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(client_secret, CLIENT_SECRET)

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_post"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type in {"authorization_code", "refresh_token"}


@dataclass
class Code(AuthorizationCodeMixin):
    code: str
    sub: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope

    def get_nonce(self):
        return self.nonce

    def get_auth_time(self):
        return int(time.time())

    def get_acr(self):
        return None

    def get_amr(self):
        return None


@dataclass
class RefreshToken(TokenMixin):
    value: str
    sub: str
    scope: str

    def check_client(self, client):
        return True

    def get_scope(self):
        return self.scope


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    def save_authorization_code(self, code, request):
        data = request.payload.data
        names = ("redirect_uri", "scope", "nonce", "code_challenge", "code_challenge_method")
        codes[code] = Code(code, request.user, *(data.get(name, "") for name in names))

    def query_authorization_code(self, code, client):
        return codes.get(code)

    def delete_authorization_code(self, authorization_code):
        del codes[authorization_code.code]

    def authenticate_user(self, authorization_code):
        return authorization_code.sub


class RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        return refresh_tokens.get(refresh_token)

    def authenticate_user(self, refresh_token):
        return refresh_token.sub

    def revoke_old_credential(self, refresh_token):
        del refresh_tokens[refresh_token.value]


class Site:
    def __init__(self, issuer, key):
        self.issuer, self.key = issuer, key
        self.wsgi = app = Flask(__name__)
        app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
        self.server = AuthorizationServer(app, query_client=self.client, save_token=self.keep)
        self.server.register_grant(CodeGrant, [self.id_tokens(), CodeChallenge(required=True)])
        self.server.register_grant(RefreshGrant)
        app.add_url_rule("/.well-known/openid-configuration", view_func=self.metadata)
        app.add_url_rule("/jwks", view_func=self.jwks)
        app.add_url_rule("/authorize", view_func=self.authorize, methods=["GET", "POST"])
        app.add_url_rule("/token", view_func=self.token, methods=["POST"])

    def knows(self, sub, claims):
        people[sub] = claims

    def client(self, client_id):
        return Client() if client_id == CLIENT_ID else None

    def keep(self, token, request):
        if value := token.get("refresh_token"):
            refresh_tokens[value] = RefreshToken(value, request.user, token["scope"])

    def id_tokens(self):
        site = self

        class IdTokens(OpenIDCode):
            def exists_nonce(self, nonce, request):
                return False

            def resolve_client_private_key(self, client):
                return site.key

            def get_client_claims(self, client):
                return {"iss": site.issuer}

            def get_encode_header(self, client):
                return {"alg": "RS256", "kid": site.key.kid}

            def generate_user_info(self, user, scope):
                return {"sub": user, **people[user]}

        return IdTokens(require_nonce=True)

    def metadata(self):
        return jsonify(
            issuer=self.issuer,
            authorization_endpoint=f"{self.issuer}/authorize",
            token_endpoint=f"{self.issuer}/token",
            jwks_uri=f"{self.issuer}/jwks",
            response_types_supported=["code"],
            subject_types_supported=["public"],
            id_token_signing_alg_values_supported=["RS256"],
        )

    def jwks(self):
        return jsonify(keys=[self.key.as_dict(private=False)])

    def authorize(self):
        grant = self.server.get_consent_grant()
        if request.method == "GET":
            return PAGE
        user = request.form["login"] if request.form.get("action") != "cancel" else None
        return self.server.create_authorization_response(grant=grant, grant_user=user)

    def token(self):
        return self.server.create_token_response()


serve(Site)
