"""What README and ``docs/`` say is so: examples run, tables are complete, links lead somewhere."""

from __future__ import annotations

import ast
import builtins
import re
import sys
import types
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.checks import run_checks
from django.core.management import get_commands
from django.dispatch import Signal
from django.test import Client
from django.urls import resolve

from django_lazyauth import conf, errors, signals, urls
from django_lazyauth.errors import BundleNotFound
from django_lazyauth.openid.provider_settings import KEYS
from django_lazyauth.toolkit.clients import get_client_model
from tests.docs import reference, standards
from tests.settings import SIGNING_KEY
from tests.upstream.real import table

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CODE_OF_CONDUCT.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("tests/**/README.md"),
    ]
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language):
    for page in PAGES:
        for number, (said, text) in enumerate(BLOCK.findall(page.read_text()), start=1):
            if said == language:
                yield pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")


def is_settings(text):
    """A fragment of the dict: ``"NAME": value``."""
    return re.match(r'"[A-Z_]+":', text) is not None


class Anything:
    """Stands for what an example takes from the site that it is copied into."""

    def __call__(self, *_, **__):
        return self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def keys(self):
        return []

    def __getitem__(self, _):
        return self


def run(text, **given):
    asked_for = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    names = {name: Anything() for name in asked_for if not hasattr(builtins, name)}
    names |= {"__name__": "example", **given}
    exec(compile(text, "<example>", "exec"), names)
    return names


@pytest.fixture
def myapp():
    """The host's own module that examples name, filled from the examples themselves."""
    module = types.ModuleType("myapp.badge")
    example = next(block.values[0] for block in blocks("python") if "class StaffBadge" in block.values[0])
    module.StaffBadge = run(example)["StaffBadge"]
    sys.modules |= {"myapp": types.ModuleType("myapp"), "myapp.badge": module}
    yield
    del sys.modules["myapp"], sys.modules["myapp.badge"]


def complaints():
    return [str(found) for found in run_checks() if str(found.id).startswith("lazyauth.E")]


@pytest.mark.parametrize("text", [block for block in blocks("python") if not is_settings(block.values[0])])
@pytest.mark.django_db
def test_an_example_runs(text, django_user_model):
    """Imports exist, classes can be made, and what is called takes those arguments."""
    given = {"INSTALLED_APPS": [], "LAZYAUTH": {}, "urlpatterns": [], "env": str, "session_id": uuid4()}
    given |= {"user": django_user_model(pk=1), "client": get_client_model()(pk=1)}
    with suppress(BundleNotFound):  # Of that session there is none.
        run(text, **given)


@pytest.mark.parametrize("text", [block for block in blocks("python") if is_settings(block.values[0])])
@pytest.mark.usefixtures("myapp")
def test_settings_in_an_example_pass_the_checks(text, settings):
    shown = ast.literal_eval("{" + text + "}")
    providers = shown.pop("PROVIDERS", {}) | settings.LAZYAUTH["PROVIDERS"]
    for chain in shown.get("CHAINS", []):
        for name in chain["providers"]:
            providers[name] = {"issuer": f"https://{name}.example", "client_id": "us"}
    settings.LAZYAUTH = {
        **settings.LAZYAUTH,
        "ALLOW_LOOPBACK_UPSTREAMS": True,
        "PROVIDERS": providers,
        **shown,
    }
    assert complaints() == []


def test_the_settings_of_the_readme_pass_the_checks(settings):
    values = {"SIGNING_KEY_PEM": SIGNING_KEY, "VAULT_KEY": "2026-11:" + "A" * 43 + "="}
    text = next(block.values[0] for block in blocks("python") if "INSTALLED_APPS +=" in block.values[0])
    settings.LAZYAUTH = run(text, INSTALLED_APPS=[], env=lambda name: values.get(name, name))["LAZYAUTH"]
    assert complaints() == []


@pytest.mark.django_db
@pytest.mark.parametrize("text", [block for block in blocks("console") if "-d '{" in block.values[0]])
def test_a_request_in_an_example_is_answered(text):
    url, body = (
        re.search(r"https://auth\.example(\S+)", text)[1],
        re.search(r"-d '(.*?)'", text, re.DOTALL)[1],
    )
    browser = Client(SERVER_NAME="auth.example")
    assert browser.post(url, body, content_type="application/json", secure=True).status_code == 201


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([\w-]+)\)", page.read_text()):
        headings = re.findall(
            r"^#+ (.*)$", (page.parent / target if target else page).read_text(), re.MULTILINE
        )
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in slugs, (target, anchor)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "tests/README.md"])
def test_named_paths_exist(page):
    """A path of the repository in backticks; in ``tests/README.md`` also one below ``tests/``."""
    for path in re.findall(
        r"`((?:tests|django_lazyauth|docs|requirements)/[\w./]*)`", (ROOT / page).read_text()
    ):
        assert (ROOT / path).exists(), path
    if page == "tests/README.md":
        for module in re.findall(r"`(\w+\.py)`", (ROOT / page).read_text()):
            assert any((ROOT / "tests").rglob(module)), module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page):
    text, made = page.read_text(), (ROOT / "Makefile").read_text()
    named = set(re.findall(r"manage\.py ([a-z_]{3,})", text))
    assert named <= set(get_commands())
    for target in re.findall(r"(?:^\$ |`)make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", made, re.MULTILINE), target


@pytest.mark.parametrize("path", reference.PAGES, ids=lambda path: path.name)
def test_a_reference_page_is_what_the_table_renders(path):
    page = path.read_text()
    assert page == reference.render(page)


def test_the_table_of_tried_providers_is_of_these_versions():
    """``make upstreams`` writes it."""
    page = table.PAGE.read_text()
    assert page == table.render(page)


def test_every_key_of_a_provider_is_described_and_nothing_else():
    page = (ROOT / "docs/providers.md").read_text()
    table = page.split("<!-- table: PROVIDERS -->")[1].split("<!-- end -->")[0]
    names = [name for key in KEYS for name in (key.name, *(f"{key.name}.{one.name}" for one in key.members))]
    assert re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE) == names


def test_every_setting_is_described_and_nothing_else():
    page = (ROOT / "docs/settings.md").read_text()
    table = page.split("<!-- table: LAZYAUTH -->")[1].split("<!-- end -->")[0]
    assert re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE) == list(conf.ROWS)
    assert set(re.findall(r"<!-- table: (\w+) -->", page)) == {"LAZYAUTH", *reference.NESTED}


def test_every_check_is_described_and_nothing_else():
    modules = (ROOT / "django_lazyauth").rglob("*.py")
    code = "".join(path.read_text() for path in modules)
    raised = set(re.findall(r"lazyauth\.([EWI]\d{3})", code))
    described = set()
    for row in re.findall(r"^\| (`lazyauth[^|]*) \|", (ROOT / "docs/checks.md").read_text(), re.MULTILINE):
        ids = re.findall(r"([EWI])(\d{3})", row)
        first, last = ids[0], ids[-1]
        described |= {f"{first[0]}{number:03}" for number in range(int(first[1]), int(last[1]) + 1)}
    assert described == raised


def listed(page: str) -> list[str]:
    """Return what the first column of the tables of a reference page names."""
    return re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/reference" / page).read_text(), re.MULTILINE)


def test_every_endpoint_is_described_and_nothing_else():
    page = (ROOT / "docs/reference/endpoints.md").read_text()
    named = dict(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", page, re.MULTILINE))
    arguments = {
        "session_id": "00000000-0000-7000-8000-000000000000",
        "pk": "1",
        "provider": "google",
        "domain": "corp.example",
        "key": "1",
        "version": "0" * 16,
    }
    for path, name in named.items():
        concrete = re.sub(r"<(\w+)>", lambda found: arguments.get(found[1], "x"), path)
        assert resolve(f"/{concrete}").url_name == name
    assert sorted(named.values()) == sorted(pattern.name for pattern in urls.urlpatterns)


def test_every_error_of_a_client_is_described_and_nothing_else():
    def codes(kind):
        yield kind.error
        for one in kind.__subclasses__():
            yield from codes(one)

    assert set(listed("errors.md")) == {code for code in codes(errors.OAuthError) if code}


def test_every_signal_is_described_and_nothing_else():
    assert set(listed("signals.md")) == {
        name for name, value in vars(signals).items() if isinstance(value, Signal)
    }


def test_every_page_is_in_the_menu_of_the_site():
    """Records of decisions are linked from their list."""
    entries = re.findall(r"^([\w/*-]+)$", (ROOT / "docs/index.md").read_text(), re.MULTILINE)
    reached = {path for entry in entries for path in (ROOT / "docs").glob(f"{entry}.md")}
    pages = {page for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "decisions"}
    assert pages - reached == {ROOT / "docs/index.md"}


def test_the_matrix_of_clients_is_that_of_its_last_run():
    """``make clients`` writes it once each cell was done. Whoever changes a cell runs it."""
    pytest.importorskip("mcp")
    from tests.stock_clients.matrix import table

    page = table.PAGE.read_text()
    assert table.render(page) == page


def test_the_standards_are_listed_as_they_are_kept():
    """``python -m tests.docs.standards`` writes the list."""
    page = standards.PAGE.read_text()
    assert standards.render(page) == page


@pytest.mark.parametrize(
    "standard", [one for one in standards.STANDARDS if one.kept], ids=lambda one: one.name
)
def test_a_standard_that_is_kept_is_shown_by_tests(standard):
    text = standards.named_in_tests()
    assert re.search(rf"{re.escape(standard.name)}\b(?! is not)", text), standard.name
