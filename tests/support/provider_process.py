"""An OpenID provider as a process of its own: real sockets, real signatures, a log, and levers to break it.

``python -m tests.support.provider_process`` prints its port and serves until it is killed. What the
tests change goes over ``POST /_control`` (see ``DEFAULTS`` for the levers); ``GET /_log`` says who asked what.
"""

from __future__ import annotations

import base64
import copy
import gzip
import hashlib
import json
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

CLIENT_ID = "lazyauth-at-acme"
CLIENT_SECRET = "upstream:secret/with+odd%characters"

DEFAULTS = {
    # Whose browser arrives at the authorization endpoint, and what the ID token says of them.
    "sub": "person-1",
    "claims": {},  # added to the next ID tokens; null removes a claim
    "header": {},  # the same for their JOSE header
    "userinfo": {},  # the same for the userinfo answer
    "signed_userinfo": None,  # claims that are added to it as a JWT; or a text that is sent as one
    "metadata": {},  # the same for the discovery document
    "redirects": {},  # path → Location: what it answers there
    "sso": {},  # the same for the document of an SSO domain
    "public_client": False,  # the client has no secret
    # Answer no document and no key set while this is set; "only_these": those that wait wait on, others pass.
    "hold_documents": False,
    "hold_authorize": False,  # let the browser wait at the authorization endpoint while this is set
    "algorithm": "RS256",
    "hmac_secret": CLIENT_SECRET,  # signs with the algorithm HS256
    "authorize_error": None,  # the authorization endpoint answers this error
    "callback": {},  # added to the authorization response; null removes a parameter
    # One per request: 500, html, empty, invalid_grant, hang, close, error_200; or {"status", "body"}.
    "token_answers": [],
    "prefix": "",  # of its tokens
    "token": {},  # added to the answers of the token endpoint; null removes a member
    "client_names": ["client_id", "client_secret"],  # its words for client id and secret
    "token_under": "",  # its token answers hold what is granted below this name
    "token_at": "bearer",  # where /user looks for the access token: also header:WORD, query:NAME, form:NAME
    "user_method": "GET",  # the only one that /user answers
    "knows_by": ["basic", "post"],  # how a client with a secret may authenticate
    "secret_key": "",  # PEM: the secret is a JWT that this key verifies
    "raw_basic": False,  # it does not decode what HTTP Basic holds
    "refuses": [],  # parameters that are an error to it, such as code_verifier
    "demands": [],  # parameters of a code request without which it is one
    "one_access_token": False,  # a new access token ends the earlier ones
    "omit_refresh_token": False,
    # Who consented before, at a provider like Google: it gives a refresh token with a consent only, asks for one at the
    # first sign-in and with prompt=consent, and keeps the token. None: a provider that gives one with each sign-in.
    "consented": None,
    "keep_refresh_token": False,  # do not rotate it
    "expires_in": 3600,
    "refresh_expires_in": None,
    "revoke_status": 200,  # of its revocation endpoint
    "unpublished_key": False,  # sign with a key that is not in the key set
    "jwks_answer": None,  # 500, html, empty, huge, close, 101_keys, bomb
    "cache_control": "public, max-age=300",
    "clock": 0,  # seconds that its clock is ahead
    "down": False,  # close every connection unanswered
    "delay": 0,  # seconds before each answer of the token endpoint
    "user": {"id": 583231, "login": "octo", "name": "Octo Cat", "email": "public@profile.example"},
    "emails": [
        {"email": "old@acme.example", "primary": False, "verified": True},
        {"email": "octo@acme.example", "primary": True, "verified": True},
    ],
}


class Provider:
    """What the provider knows: levers, keys, codes, refresh tokens, and the log."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.issuer = ""
        self.generation = 0
        self.keys: dict[str, object] = {}
        self.spare = (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1()))
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.levers = copy.deepcopy(DEFAULTS)
            self.codes: dict[str, dict[str, str]] = {}
            self.grants: dict[str, dict[str, str]] = {}
            self.access: dict[str, str] = {}
            self.log: list[dict[str, object]] = []
            if not self.keys:
                self.rotate()

    def rotate(self, how: object = True) -> None:
        with self.lock:
            if how is True:
                self.generation += 1
                names = [f"rs-{self.generation}", f"es-{self.generation}"]
            else:
                names = list(self.keys)
            if how == "other_type":
                names.reverse()
            self.keys = dict(zip(names, self.spare, strict=True))
            self.spare = (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1()))

    def control(self, changes: dict[str, object]) -> None:
        with self.lock:
            if changes.pop("reset", False):
                self.reset()
            if how := changes.pop("rotate_keys", False):
                self.rotate(how)
            unknown = set(changes) - set(DEFAULTS)
            assert not unknown, unknown
            self.levers.update(changes)

    def wait_while_held(self) -> None:
        is_held = self.levers["hold_documents"] is True
        while is_held and self.levers["hold_documents"]:
            time.sleep(0.02)

    def sso_document(self) -> dict[str, object]:
        return merge(
            {
                "client_id": CLIENT_ID,
                "openid_configuration": f"{self.issuer}/.well-known/openid-configuration",
                "name": "Acme Corporation",
            },
            self.levers["sso"],
        )

    def metadata(self) -> dict[str, object]:
        return merge(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/jwks",
                "revocation_endpoint": f"{self.issuer}/revoke",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                "authorization_response_iss_parameter_supported": True,
            },
            self.levers["metadata"],
        )

    def jwks(self) -> dict[str, object]:
        members = []
        for kid, key in self.keys.items():
            algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
            maker = jwt.get_algorithm_by_name(algorithm)
            members.append(
                maker.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "alg": algorithm, "use": "sig"}
            )
        return {"keys": members}

    def id_token(self, client_id: str, sub: str, nonce: str | None) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": sub,
            "aud": client_id,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "email": f"{sub}@acme.example",
            "email_verified": True,
            "name": f"Name of {sub}",
            "amr": ["pwd", "otp"],
        }
        if nonce is not None:
            claims["nonce"] = nonce
        algorithm = self.levers["algorithm"]
        if algorithm == "HS256":
            return jwt.encode(
                merge(claims, self.levers["claims"]), self.levers["hmac_secret"], algorithm=algorithm
            )
        is_rsa = algorithm == "RS256"
        kid, key = next(
            (kid, key) for kid, key in self.keys.items() if isinstance(key, rsa.RSAPrivateKey) is is_rsa
        )
        if self.levers["unpublished_key"]:
            kid, key = f"unpublished-{secrets.token_hex(4)}", self.spare[0 if is_rsa else 1]
        headers = merge({"kid": kid}, self.levers["header"])
        return jwt.encode(merge(claims, self.levers["claims"]), key, algorithm=algorithm, headers=headers)

    def tokens(self, client_id: str, sub: str, nonce: str | None, scope: str) -> dict[str, object]:
        access_token = f"{self.levers['prefix']}at-{secrets.token_urlsafe(16)}"
        refresh_token = f"{self.levers['prefix']}rt-{secrets.token_urlsafe(16)}"
        if self.levers["one_access_token"]:
            self.access.clear()
        self.access[access_token] = sub
        self.grants[refresh_token] = {"client_id": client_id, "sub": sub, "scope": scope}
        answer: dict[str, object] = {
            "access_token": access_token,
            "token_type": "Bearer",
            "scope": scope,
            "refresh_token": refresh_token,
            "id_token": self.id_token(client_id, sub, nonce),
        }
        if self.levers["expires_in"] is not None:
            answer["expires_in"] = self.levers["expires_in"]
        if self.levers["refresh_expires_in"] is not None:
            answer["refresh_expires_in"] = self.levers["refresh_expires_in"]
        if self.levers["omit_refresh_token"]:
            del answer["refresh_token"], self.grants[refresh_token]
        return answer

    def asks_consent(self, query: dict[str, str]) -> bool:
        """Say whether a person sees a page of consent, as at Google; they agree."""
        consented = self.levers["consented"]
        is_asked = consented is None or query.get("prompt") == "consent" or query["sub"] not in consented
        if is_asked and consented is not None:
            consented.append(query["sub"])
        return is_asked and (consented is None or query.get("access_type") == "offline")


def merge(document: dict, changes: dict) -> dict:
    merged = {**document, **changes}
    return {name: value for name, value in merged.items() if value is not None}


class GrantError(Exception):
    """An OAuth error of the token endpoint."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Provider

    def log_message(self, *args: object) -> None:
        """The log that matters is in ``provider.log``."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.provider.levers["clock"])

    def answer(self, status: int, body: object = "", **headers: str) -> None:
        raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else None
        if raw is None:
            raw = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def hang_up(self) -> None:
        self.close_connection = True

    def do_GET(self) -> None:
        self.dispatch({})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        if self.path == "/_control":
            self.provider.control(json.loads(raw))
            self.answer(200, {})
        elif self.path == "/_sign":
            self.answer(200, self.provider.id_token(CLIENT_ID, **json.loads(raw)))
        else:
            is_json = self.headers.get("Content-Type", "") == "application/json"
            self.dispatch(json.loads(raw) if is_json else dict(parse_qsl(raw, keep_blank_values=True)))

    def do_DELETE(self) -> None:
        self.do_POST()

    def dispatch(self, form: dict[str, str]) -> None:
        path, provider = urlsplit(self.path).path, self.provider
        if path in ("/_log", "/_refresh_tokens"):
            self.answer(200, provider.log if path == "/_log" else list(provider.grants))
            return
        with provider.lock:
            provider.log.append(
                {
                    "method": self.command,
                    "path": path,
                    "query": dict(parse_qsl(urlsplit(self.path).query)),
                    "form": form,
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                }
            )
            is_down = provider.levers["down"]
            location = provider.levers["redirects"].get(path)
        if is_down:
            self.hang_up()
            return
        if location:
            self.answer(302, "", Location=location)
            return
        if path.startswith("/.well-known/") or path == "/jwks":
            provider.wait_while_held()
        routes = {
            "/.well-known/lazyauth-sso": lambda: self.answer(200, provider.sso_document()),
            "/.well-known/openid-configuration": lambda: self.answer(200, provider.metadata()),
            "/jwks": self.jwks,
            "/authorize": self.authorize,
            "/token": lambda: self.token(form or dict(parse_qsl(urlsplit(self.path).query))),
            "/token/refresh": lambda: self.token(form or dict(parse_qsl(urlsplit(self.path).query))),
            "/userinfo": self.userinfo,
            "/revoke": lambda: self.answer(provider.levers["revoke_status"], {}),
            "/user": lambda: self.user(form),
            "/user/emails": lambda: self.api(provider.levers["emails"]),
        }
        routes.get(path, lambda: self.answer(404, "not here"))()

    def jwks(self) -> None:
        lever = self.provider.levers["jwks_answer"]
        if lever == "close":
            self.hang_up()
        elif lever == "bomb":
            self.answer(200, gzip.compress(b" " * 400_000 + b'{"keys": []}'), Content_Encoding="gzip")
        elif lever is not None:
            [key, *_] = self.provider.jwks()["keys"]
            bodies = {
                "500": "",
                "html": "<h1>hello</h1>",
                "empty": {"keys": []},
                "huge": "x" * 600_000,
                "101_keys": {"keys": [{**key, "kid": f"{number}"} for number in range(101)]},
            }
            self.answer(500 if lever == "500" else 200, bodies[lever])
        else:
            document = self.provider.jwks()
            tag = '"' + hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16] + '"'
            headers = {"ETag": tag, "Cache-Control": self.provider.levers["cache_control"]}
            if self.headers.get("If-None-Match") == tag:
                self.answer(304, "", **headers)
            else:
                self.answer(200, document, **headers)

    def authorize(self) -> None:
        """Send back a browser that is signed in here and agrees."""
        while self.provider.levers["hold_authorize"]:
            time.sleep(0.02)
        query = dict(parse_qsl(urlsplit(self.path).query))
        if self.provider.levers["client_names"][0] not in query:
            self.answer(400, "which client?")
            return
        answer = {"state": query["state"], "iss": self.provider.issuer}
        if set(query) & set(self.provider.levers["refuses"]):
            answer["error"] = "invalid_request"
        elif self.provider.levers["authorize_error"]:
            answer["error"] = self.provider.levers["authorize_error"]
        else:
            answer["code"] = f"code-{secrets.token_urlsafe(12)}"
            self.provider.codes[answer["code"]] = {**query, "sub": self.provider.levers["sub"]}
        answer = merge(answer, self.provider.levers["callback"])
        if query.get("response_mode") == "form_post":
            # In place of the page whose form a browser sends by itself.
            self.answer(200, {"action": query["redirect_uri"], "fields": answer})
            return
        separator = "&" if urlsplit(query["redirect_uri"]).query else "?"
        self.answer(302, "", Location=query["redirect_uri"] + separator + urlencode(answer))

    def token(self, form: dict[str, str]) -> None:
        if not form:
            self.answer(405, "")
            return
        with self.provider.lock:
            answers = self.provider.levers["token_answers"]
            lever = answers.pop(0) if answers else None
            delay = self.provider.levers["delay"]
        time.sleep(delay)
        broken = {
            "500": (500, ""),
            "html": (200, "<h1>hello</h1>"),
            "empty": (200, {}),
            "invalid_grant": (400, {"error": "invalid_grant", "error_description": "Not this one."}),
            "error_200": (200, {"error": "bad_verification_code"}),
        }
        if lever == "hang":
            time.sleep(60)
        elif lever == "close":
            self.hang_up()
        elif isinstance(lever, dict):
            self.answer(lever["status"], lever["body"])
        elif lever is not None:
            self.answer(*broken[lever])
        else:
            try:
                with self.provider.lock:
                    granted = merge(self.grant(form), self.provider.levers["token"])
                    if name := self.provider.levers["token_under"]:
                        granted = {"ok": True, "access_token": "xoxb-of-the-bot", name: granted}
                self.answer(200, granted)
            except GrantError as refusal:
                self.answer(400, {"error": str(refusal)})

    def grant(self, form: dict[str, str]) -> dict[str, object]:
        client_id = self.client(form)
        if set(form) & set(self.provider.levers["refuses"]):
            raise GrantError("invalid_request")
        if form.get("grant_type") == "refresh_token":
            known = self.provider.grants.get(form.get("refresh_token", ""))
            if known is None or known["client_id"] != client_id:
                raise GrantError("invalid_grant")
            if self.provider.levers["keep_refresh_token"] or self.provider.levers["consented"] is not None:
                answer = self.provider.tokens(client_id, known["sub"], None, known["scope"])
                answer.pop("refresh_token", None)
                return answer
            del self.provider.grants[form["refresh_token"]]
            return self.provider.tokens(client_id, known["sub"], None, known["scope"])
        if not set(self.provider.levers["demands"]) <= set(form):
            raise GrantError("invalid_request")
        known = self.provider.codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if (
            known is None
            or known.get("client_id", client_id) != client_id
            or known["redirect_uri"] != form.get("redirect_uri")
            or known.get("code_challenge", "") != (challenge if verifier else "")
        ):
            raise GrantError("invalid_grant")
        answer = self.provider.tokens(client_id, known["sub"], known.get("nonce"), known.get("scope", ""))
        if not self.provider.asks_consent(known):
            answer.pop("refresh_token", None)
        return answer

    def client(self, form: dict[str, str]) -> str:
        """Authenticate the client by Basic, form or assertion (whose signature the test itself checks)."""
        header = self.headers.get("Authorization", "")
        if header.startswith("Basic "):
            user, _, password = base64.b64decode(header[6:]).decode().partition(":")
            is_raw = self.provider.levers["raw_basic"]
            found = (user, password) if is_raw else (unquote_plus(user), unquote_plus(password))
        elif "client_assertion" in form:
            return form["client_id"]
        else:
            id_name, secret_name = self.provider.levers["client_names"]
            found = form.get(id_name, ""), form.get(secret_name, "")
            if self.provider.levers["public_client"] and found == (CLIENT_ID, ""):
                return CLIENT_ID
        if pem := self.provider.levers["secret_key"]:
            known = jwt.decode(found[1], pem, ["ES256"], audience=self.provider.issuer, issuer="TEAM123")
            found = (known["sub"], CLIENT_SECRET)
        way = "basic" if header.startswith("Basic ") else "post"
        if found != (CLIENT_ID, CLIENT_SECRET) or way not in self.provider.levers["knows_by"]:
            raise GrantError("invalid_client")
        return CLIENT_ID

    def bearer(self) -> str | None:
        return self.provider.access.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def userinfo(self) -> None:
        sub = self.bearer()
        if sub is None:
            self.answer(401, "")
        else:
            document = {
                "sub": sub,
                "email": f"{sub}@userinfo.example",
                "email_verified": True,
                "name": "Info",
            }
            document = merge(document, self.provider.levers["userinfo"])
            added = self.provider.levers["signed_userinfo"]
            if isinstance(added, dict):
                claims = {"iss": self.provider.issuer, "aud": CLIENT_ID, **document}
                kid, key = next(iter(self.provider.keys.items()))
                if self.provider.levers["unpublished_key"]:
                    key = self.provider.spare[0]
                added = jwt.encode(merge(claims, added), key, algorithm="RS256", headers={"kid": kid})
            if added is None:
                self.answer(200, document)
            else:
                self.answer(200, added, Content_Type="application/jwt; charset=utf-8")

    def user(self, form: dict[str, str]) -> None:
        levers = self.provider.levers
        place, _, name = levers["token_at"].partition(":")
        query = dict(parse_qsl(urlsplit(self.path).query))
        header = self.headers.get("Authorization", "")
        prefix = f"{name or 'Bearer'} "
        sent = {
            "query": query.get(name, ""),
            "form": form.get(name, ""),
        }.get(place, header.removeprefix(prefix) if header.startswith(prefix) else "")
        if self.command != levers["user_method"]:
            self.answer(405, "")
        elif sent not in self.provider.access:
            self.answer(401, "")
        else:
            self.answer(200, levers["user"])

    def api(self, document: object) -> None:
        if self.bearer() is None:
            self.answer(401, "")
        else:
            self.answer(200, document)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    provider = Provider()
    server = Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"provider": provider}))
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    # Ends with whoever started it, also if they were killed.
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
