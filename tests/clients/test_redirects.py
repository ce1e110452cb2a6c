"""Redirect URIs as strings: which are safe, which are equal, and how an answer is put on one."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_lazyauth.clients.redirects import (
    host_of,
    is_of_origin,
    is_safe_redirect_uri,
    redirect_uri_matches,
    with_parameters,
)


@pytest.mark.parametrize(
    "uri",
    [
        "https://client.example/cb",
        "https://client.example",
        "https://client.example/",
        "https://client.example?x=1",
        "https://client.example:8443/cb?tenant=a%2Fb&x=[]",
        "https://client.example/a/../b;c=1,2/(x)!$'*+~@:",
        "https://[2001:db8::1]/cb",
        "https://xn--bcher-kva.example/cb",
        "https://my_app.example/cb",
        "http://127.0.0.1/cb",
        "http://127.0.0.1:8000",
        "http://[::1]:8000/cb",
        "http://localhost:65535/cb?x=1",
        "com.example.app:/oauth2redirect",
        "com.example.app://callback",
        "com.example.app:callback",
    ],
)
def test_these_may_be_redirected_to(uri):
    """RFC 8252 §7, RFC 9700 §2.1."""
    assert is_safe_redirect_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        " ",
        "client.example/cb",
        "/cb",
        "//client.example/cb",
        "https:",
        "https://",
        "https:///cb",
        "https:/client.example",
        "https:client.example",
        "https://?x",
        "https://:443/cb",
        "https://@/cb",
        "https://user@client.example/cb",
        "https://user:password@client.example/cb",
        "https://client.example@evil.test/",
        "https://client.example/cb#",
        "https://client.example/cb#fragment",
        "https://client.example/c b",
        "https://client.example/cb\n",
        "https://client.example/cb\t",
        "https://client.example/cb\x00",
        "https://client.example\\@evil.test",
        "https://client.example/<x>",
        'https://client.example/"',
        "https://client.example/`",
        "https://client.example/{x}",
        "https://client.example/é",
        "https://bücher.example/",
        "https://client%2eexample/cb",
        "https://*.client.example/cb",
        "https://client.example,evil.test/",
        "https://client.example;evil.test/",
        "https://client.example:port/",
        "https://client.example:99999/",
        "https://client.example:0/",
        "https://client.example:443:443/",
        "https://[",
        "https://[/",
        "https://[::1/cb",
        "https://::1]/cb",
        "https://[evil.test]/cb",
        "https://[::1]evil.test/cb",
        "HTTPS://client.example/cb",
        "http://client.example/cb",
        "http://127.0.0.1.evil.test/cb",
        "http://localhost.evil.test/cb",
        "http://localhost@evil.test/cb",
        "http://user@localhost/cb",
        "http://localhost:99999/cb",
        "http://localhost:0/cb",
        "http://localhost:x/cb",
        "http://127.0.0.2/cb",
        "http://[::2]/cb",
        "http://0.0.0.0/cb",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java.script:alert(1)//\n",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://client.example/x",
        "about:blank",
        "ftp://client.example/",
        "ws://client.example/",
        "myapp:/cb",
        "intent:/cb",
        "1com.example:/cb",
        ".com.example:/cb",
        "com.example.app://[/cb",
        "urn:ietf:wg:oauth:2.0:oob",
    ],
)
def test_these_may_not(uri):
    """RFC 9700 §2.1, §4.11."""
    assert not is_safe_redirect_uri(uri)


def test_an_operator_may_name_schemes_without_a_dot_but_none_that_runs_code():
    """RFC 8252 §7.1."""
    named = ("myapp", "http", "https", "javascript", "data")
    assert is_safe_redirect_uri("myapp://cb", extra_schemes=named)
    assert not is_safe_redirect_uri("other://cb", extra_schemes=named)
    assert not is_safe_redirect_uri("http://client.example/cb", extra_schemes=named)
    assert not is_safe_redirect_uri("javascript:alert(1)", extra_schemes=named)
    assert not is_safe_redirect_uri("data:text/html,x", extra_schemes=named)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40))
def test_what_is_safe_can_be_parsed_and_names_a_host_or_an_app(tail):
    """I18: nothing that passes makes a redirect fail afterwards."""
    for uri in (tail, f"https://{tail}", f"http://localhost{tail}", f"com.example.app:{tail}"):
        if is_safe_redirect_uri(uri):
            parts = urlsplit(uri)
            assert parts.port != 0
            assert parts.hostname or "." in parts.scheme
            assert not parts.fragment
            assert parts.scheme in {"https", "com.example.app"} or parts.hostname == "localhost"
            assert host_of(uri)


@pytest.mark.parametrize(
    ("requested", "registered"),
    [
        ("https://client.example/cb", "https://client.example/cb"),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:2/cb"),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1/cb"),
        ("http://[::1]:1/cb?x=1", "http://[::1]/cb?x=1"),
        ("http://localhost:1", "http://localhost"),
    ],
)
def test_equal_strings_match_and_loopback_ports_differ(requested, registered):
    """RFC 9700 §4.1.3, RFC 8252 §7.3."""
    assert redirect_uri_matches(requested, registered)


@pytest.mark.parametrize(
    ("requested", "registered"),
    [
        ("https://client.example/cb/", "https://client.example/cb"),
        ("https://client.example:443/cb", "https://client.example/cb"),
        ("https://client.example:1/cb", "https://client.example:2/cb"),
        ("https://CLIENT.example/cb", "https://client.example/cb"),
        ("https://client.example/cb?x", "https://client.example/cb"),
        ("http://localhost:1/cb", "http://127.0.0.1:1/cb"),
        ("http://[::1]:1/cb", "http://127.0.0.1:1/cb"),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:1/"),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1"),
        ("http://127.0.0.1:1/cb?x", "http://127.0.0.1:1/cb"),
        ("http://127.0.0.1:123456/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1:1.evil.test/cb", "http://127.0.0.1/cb"),
        ("https://127.0.0.1:1/cb", "https://127.0.0.1/cb"),
        ("http://client.example:1/cb", "http://client.example/cb"),
        ("com.example.app:/cb", "com.example.app:/CB"),
    ],
)
def test_nothing_else_matches(requested, registered):
    """RFC 9700 §4.1.3."""
    assert not redirect_uri_matches(requested, registered)


@pytest.mark.parametrize(
    ("uri", "answer"),
    [
        ("https://client.example/cb", "https://client.example/cb?code=x"),
        ("https://client.example", "https://client.example?code=x"),
        ("https://client.example/cb?", "https://client.example/cb?code=x"),
        ("https://client.example/cb?a=%2F", "https://client.example/cb?a=%2F&code=x"),
        ("https://client.example/cb?a=1&", "https://client.example/cb?a=1&code=x"),
        ("com.example.app:/cb", "com.example.app:/cb?code=x"),
    ],
)
def test_parameters_join_what_stands_there(uri, answer):
    """RFC 6749 §3.1.2: the registered query is kept."""
    assert with_parameters(uri, {"code": "x"}) == answer


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), min_size=1, max_size=4))
def test_every_value_arrives_as_it_was_sent(parameters):
    """RFC 6749 Appendix B."""
    try:
        url = with_parameters("https://client.example/cb?kept=1", parameters)
    except UnicodeEncodeError:
        assert any(0xD800 <= ord(each) <= 0xDFFF for item in parameters.items() for each in "".join(item))
        return
    found = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert found == [("kept", "1"), *parameters.items()]
    assert url.isascii()


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("https://client.example/cb", "client.example"),
        ("https://client.example", "client.example"),
        ("https://client.example?x", "client.example"),
        ("https://client.example:8443/cb", "client.example:8443"),
        ("http://[::1]:1/cb", "[::1]:1"),
        ("https://google.com.evil.test/google.com", "google.com.evil.test"),
        ("com.example.app:/google.com", "com.example.app"),
        ("com.example.app://google.com", "com.example.app"),
    ],
)
def test_a_person_is_shown_the_host_or_the_app(uri, host):
    """Threat model: the redirect host is prominent."""
    assert host_of(uri) == host


# -- origins -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "origin"),
    [
        ("https://client.example/cb", "https://client.example"),
        ("https://Client.Example/cb", "https://client.example"),
        ("https://client.example:443/cb", "https://client.example"),
        ("https://client.example:8443", "https://client.example:8443"),
        ("https://[2001:DB8::1]:443/cb", "https://[2001:db8::1]"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:5173"),
        ("http://localhost:43210/cb", "http://localhost:5173"),
        ("http://[::1]/cb", "http://[::1]:5173"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_a_uri_is_of_the_origin_that_browsers_write(uri, origin):
    """RFC 6454 §6.2; RFC 8252 §7.3 for the port on loopback."""
    assert is_of_origin(uri, origin)


@pytest.mark.parametrize(
    ("uri", "origin"),
    [
        ("https://client.example/cb", ""),
        ("https://client.example/cb", "null"),
        ("null", "null"),
        ("https://client.example:80/cb", "https://client.example"),
        ("https://client.example/cb", "https://client.example:443"),
        ("https://client.example/cb", "http://client.example"),
        ("https://client.example@evil.test/cb", "https://client.example"),
        ("https://client.example.evil.test", "https://client.example"),
        ("http://localhost/cb", "http://127.0.0.1:5173"),
        ("http://localhost/cb", "http://localhost.evil.test"),
        ("http://localhost/cb", "https://localhost"),
        ("https://[", "https://["),
        ("https://client.example:port", "https://client.example:port"),
    ],
)
def test_a_uri_is_of_no_other_origin(uri, origin):
    assert not is_of_origin(uri, origin)
