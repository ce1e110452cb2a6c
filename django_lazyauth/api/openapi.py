"""How OpenAPI describes the bearer of this API, where a host has drf-spectacular: loaded only then."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class BearerDescription(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its metaclass is untyped
    target_class = "django_lazyauth.api.authentication.LazyAuthAuthentication"
    name = "lazyauthBearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
