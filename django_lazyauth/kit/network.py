"""The network that a request comes from: precise enough to count requests, too coarse to identify a person."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from django.http import HttpRequest

from django_lazyauth.conf import lazyauth_settings

#: An address with a port, as some proxies write it into ``X-Forwarded-For``.
WITH_PORT: Final = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d+)?|(?P<v4>[0-9.]+):\d+")


def network_of(request: HttpRequest) -> str:
    """Return the /24 (IPv4) or /56 (IPv6) of the peer; forwarding headers are read only behind our own proxies."""
    address = str(request.META.get("REMOTE_ADDR", ""))
    proxies = lazyauth_settings.num_proxies
    if proxies:
        forwarded = [
            part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()
        ]
        if len(forwarded) >= proxies:
            # Each proxy of ours appended one entry. Earlier entries were sent by the client.
            address = forwarded[-proxies]
    with_port = WITH_PORT.fullmatch(address)
    try:
        parsed = ipaddress.ip_address(with_port["v6"] or with_port["v4"] if with_port else address)
    except ValueError:
        return "unknown"
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 56), strict=False))
