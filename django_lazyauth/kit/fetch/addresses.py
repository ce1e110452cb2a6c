"""Which URLs may be fetched, and which addresses may be connected to (I14)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django_lazyauth.conf import LOOPBACK_HOSTS, lazyauth_settings

from .answer import FetchError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Characters of a URL.
URL_LIMIT = 2048

#: IANA special-purpose registries (RFC 6890), and other networks that do not lead to one public host.
_REFUSED_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598)
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata services of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
#: All IPv6 unicast that IANA has assigned. ULA, link-local, site-local, mapped and NAT64 are outside.
_IPV6_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
#: Interface identifiers that embed an IPv4 address (ISATAP, RFC 5214 §6.1), the local and the global form.
_ISATAP_MARKS = frozenset({0x0000_5EFE, 0x0200_5EFE})

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")

#: Some parsers read a host whose last label looks like a number as an IPv4 address (WHATWG URL §3.5).
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PRINTABLE_ASCII = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Policy:
    """Who chose the URL. That decides which addresses may be connected to, and how long an answer may be.

    Attributes:
        is_strict: A stranger chose it: every resolved address must be globally routable unicast (I14). Otherwise the
            operator of this site did, in its settings: any address, also an internal one.
        ca_file: Path of further trust anchors (PEM); empty: those of the system only.
    """

    is_strict: bool
    ca_file: str = ""


STRANGER = Policy(is_strict=True)
OPERATOR = Policy(is_strict=False)


def check_url(url: str) -> None:
    """Refuse a URL that could never be fetched. Uses no network.

    Raises:
        FetchError: ``url`` or ``not_https``.
    """
    Target.parse(url)


def is_global_address(text: str) -> bool:
    """Say whether *text* is an address of the public Internet, in the one canonical notation.

    Stricter than :attr:`ipaddress.IPv6Address.is_global`: an address that embeds an IPv4 address (mapped, NAT64,
    6to4, Teredo, ISATAP) is always refused.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return is_global(address)


def is_global(address: IPAddress) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address in network for network in _REFUSED_NETWORKS if network.version == address.version):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    isatap = (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP_MARKS
    return address in _IPV6_GLOBAL_UNICAST and address.scope_id is None and not isatap


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart; ``address`` is set where the host is an address in canonical notation."""

    is_https: bool
    host: str
    port: int
    path: str = field(repr=False)
    address: IPAddress | None

    @classmethod
    def parse(cls, url: str) -> Target:
        if not isinstance(url, str) or len(url) > URL_LIMIT or not _PRINTABLE_ASCII.fullmatch(url):
            raise FetchError("url")
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise FetchError("url") from None
        is_https = parts.scheme == "https"
        if not is_https and not (
            parts.scheme == "http" and host in LOOPBACK_HOSTS and lazyauth_settings.allow_loopback_upstreams
        ):
            raise FetchError("not_https")
        if "@" in parts.netloc or "\\" in url or "#" in url or port == 0:
            raise FetchError("url")
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        return cls(is_https, host, port or (443 if is_https else 80), path, _literal_address(host))

    def admits(self, address: IPAddress, policy: Policy) -> bool:
        """Say whether this target may be served from *address*."""
        if lazyauth_settings.allow_loopback_upstreams and self.host in LOOPBACK_HOSTS and address.is_loopback:
            return True
        return self.is_https and (not policy.is_strict or is_global(address))


def _literal_address(host: str) -> IPAddress | None:
    """Return the address in *host*, ``None`` for a name; refuse every notation but the canonical one."""
    if "%" in host:
        raise FetchError("address")  # a zone id names an interface of this machine (RFC 4007 §11)
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if ":" in host or _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2]):
        raise FetchError("address")
    if not _HOST_NAME.fullmatch(host):
        raise FetchError("url")
    return None
