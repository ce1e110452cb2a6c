"""The clients of the matrix that are Python packages, each as its documentation has it used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import httpx
import requests
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

from tests.support.journey import query_of

#: What a client did in one way: the types of its tokens, and the status of a call with the last one.
Did = dict[str, Any]
Answer = Callable[[str], str]

SCOPE = "openid email"


def registered(told: dict[str, Any]) -> dict[str, Any]:
    """Register over HTTP where the package leaves that to its user, and return what else is told to the client."""
    if told["kind"] != "registration":
        return told
    answer = httpx.post(f"{told['issuer']}/register", json=told["members"], trust_env=False).json()
    return told | {"clientId": answer["client_id"], "secret": answer.get("client_secret")}


def metadata_of(told: dict[str, Any]) -> dict[str, Any]:
    url = f"{told['issuer']}/.well-known/openid-configuration"
    found: dict[str, Any] = httpx.get(url, trust_env=False).json()
    return found


def authlib(told: dict[str, Any], way: str, answer: Answer) -> Did:
    server = metadata_of(told)
    method = {"secret": "client_secret_basic", "key": "private_key_jwt", "public": "none"}[told["method"]]
    with OAuth2Client(
        client_id=told["clientId"],
        client_secret=ECKey.import_key(told["jwk"]) if told["method"] == "key" else told["secret"],
        token_endpoint_auth_method=method,
        redirect_uri=told["redirectUri"],
        scope=SCOPE,
        code_challenge_method="S256",
        trust_env=False,
    ) as client:
        if told["method"] == "key":
            # What it calls the token endpoint is its audience.
            client.register_client_auth_method(PrivateKeyJWT(told["issuer"], alg=told["algorithm"]))
        verifier = generate_token(48)
        url, state = client.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier)
        token = client.fetch_token(
            server["token_endpoint"],
            authorization_response=answer(url),
            code_verifier=verifier,
            state=state,
        )
        renewed = client.refresh_token(server["token_endpoint"], refresh_token=token["refresh_token"])
        called = client.get(told["api"])
    return {"types": [token["token_type"], renewed["token_type"]], "called": called.status_code}


def requests_oauth2client(told: dict[str, Any], way: str, answer: Answer) -> Did:
    import requests_oauth2client as package

    authentication = {
        "secret": lambda: package.ClientSecretBasic(told["clientId"], told["secret"]),
        "key": lambda: package.PrivateKeyJwt(
            told["clientId"],
            {**told["jwk"], "alg": told["algorithm"]},
            alg=told["algorithm"],
            aud=told["issuer"],
        ),
        "public": lambda: package.PublicApp(told["clientId"]),
    }[told["method"]]()
    with requests.Session() as session:
        session.trust_env = False
        client = package.OAuth2Client.from_discovery_endpoint(
            f"{told['issuer']}/.well-known/openid-configuration",
            issuer=told["issuer"],
            auth=authentication,
            redirect_uri=told["redirectUri"],
            session=session,
            testing=True,
        )
        asked = client.authorization_request(scope=SCOPE, dpop="DPoP" in way)
        sent = client.pushed_authorization_request(asked) if "PAR" in way else asked
        token = client.authorization_code(asked.validate_callback(answer(sent.uri)), validate=False)
        renewed = client.refresh_token(token)
        called = session.get(told["api"], auth=renewed)
    return {"types": [token.token_type, renewed.token_type], "called": called.status_code}


METHODS_OF_MCP = {"secret": "client_secret_basic", "public": "none"}


class Memory:
    """What a host keeps for the client."""

    def __init__(self, client_info: Any = None) -> None:
        self.tokens: Any = None
        self.client_info = client_info

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> Any:
        return self.client_info

    async def set_client_info(self, client_info: Any) -> None:
        self.client_info = client_info


def mcp(told: dict[str, Any], way: str, answer: Answer) -> Did:
    import httpx2
    from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
    from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

    memory, came = Memory(), []
    if told["kind"] == "pre-made":
        memory.client_info = OAuthClientInformationFull(
            client_id=told["clientId"],
            client_secret=told["secret"],
            redirect_uris=[told["redirectUri"]],
            token_endpoint_auth_method=METHODS_OF_MCP.get(told["method"]),
            issuer=told["issuer"],
        )

    async def redirect(url: str) -> None:
        came.append(query_of(await anyio.to_thread.run_sync(answer, url)))

    async def callback() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code=came[-1]["code"], state=came[-1]["state"], iss=came[-1]["iss"])

    if told["method"] == "key":
        return _machine_of_mcp(told, memory)
    provider = OAuthClientProvider(
        server_url=told["api"],
        client_metadata=OAuthClientMetadata.model_validate(told["members"]),
        storage=memory,
        redirect_handler=redirect,
        callback_handler=callback,
        client_metadata_url=told["clientId"] if told["kind"] == "document" else None,
    )
    types = []

    async def call() -> int:
        async with httpx2.AsyncClient(auth=provider, trust_env=False) as http:
            await http.get(told["api"])
            types.append(memory.tokens.token_type)
            # What it does once its access token has expired.
            provider.context.token_expiry_time = 1
            return (await http.get(told["api"])).status_code

    called = anyio.run(call)
    return {"types": [*types, memory.tokens.token_type], "called": called}


def _machine_of_mcp(told: dict[str, Any], memory: Memory) -> Did:
    """It acts for itself, and gets no refresh token: it asks again."""
    import httpx2
    from mcp.client.auth.extensions.client_credentials import PrivateKeyJWTOAuthProvider, SignedJWTParameters

    signer = SignedJWTParameters(
        issuer=told["clientId"],
        subject=told["clientId"],
        signing_key=told["pem"],
        signing_algorithm=told["algorithm"],
    )
    types = []

    async def call() -> int:
        for _ in range(2):
            provider = PrivateKeyJWTOAuthProvider(
                server_url=told["api"],
                storage=memory,
                client_id=told["clientId"],
                assertion_provider=signer.create_assertion_provider(),
                scope="profile",
                issuer=told["issuer"],
            )
            memory.tokens = None
            async with httpx2.AsyncClient(auth=provider, trust_env=False) as http:
                await http.get(told["api"])
            types.append(memory.tokens.token_type)
        async with httpx2.AsyncClient(trust_env=False) as http:
            bearer = {"Authorization": f"Bearer {memory.tokens.access_token}"}
            return (await http.get(told["api"], headers=bearer)).status_code

    called = anyio.run(call)
    return {"types": types, "called": called}


CLIENTS: dict[str, Callable[[dict[str, Any], str, Answer], Did]] = {
    "Authlib": authlib,
    "requests_oauth2client": requests_oauth2client,
    "mcp": mcp,
}
#: Those that register themselves.
REGISTER: frozenset[str] = frozenset({"mcp"})
