"""Where a request comes from, behind whatever proxies: one network each, and nobody counted for another."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from django_lazyauth.kit.network import network_of


def seen(address="10.1.2.3", forwarded=None):
    headers = {"X-Forwarded-For": forwarded} if forwarded is not None else {}
    return network_of(RequestFactory().get("/", REMOTE_ADDR=address, headers=headers))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2ff::1", "2001:db8:1:200::/56"),
        ("fe80::1%eth0", "fe80::/56"),
        ("", "unknown"),
        ("a.unix.socket", "unknown"),
    ],
)
def test_an_address_is_cut_to_its_network(address, network):
    """Threat model: limits per /24 and /56."""
    assert seen(address) == network


def test_without_proxies_of_ours_a_forwarding_header_counts_for_nothing():
    """Threat model: forged forwarding headers."""
    assert seen(forwarded="203.0.113.9") == "10.1.2.0/24"


@pytest.mark.parametrize(
    "entry", ["203.0.113.9", "203.0.113.9:51234", " 203.0.113.9 ", "[::ffff:203.0.113.9]:443"]
)
def test_what_our_proxy_appended_counts_with_or_without_a_port(lazyauth, entry):
    """Some proxies append the port (Azure Application Gateway): all of a site would be one network without this."""
    lazyauth(NUM_PROXIES=1)
    assert seen(forwarded=f"198.51.100.1, {entry}") == "203.0.113.0/24"
    assert seen(forwarded="[2001:db8:1:2ff::1]:443") == "2001:db8:1:200::/56"


def test_what_stands_before_our_proxies_is_the_clients_own_claim(lazyauth):
    lazyauth(NUM_PROXIES=2)
    assert seen(forwarded="1.1.1.1, 203.0.113.9, 10.9.9.9") == "203.0.113.0/24"
    assert seen(forwarded="203.0.113.9") == "10.1.2.0/24"
