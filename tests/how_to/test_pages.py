"""Spec 11: there is a page for each task, README and the index lead to it, and a test follows it as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.reader import ROOT

#: What a site may want to do → its page.
PAGES = {
    "MCP server with FastMCP and with the SDK": "how-to/mcp-server.md",
    "single-page app": "how-to/single-page-app.md",
    "native and command-line client": "how-to/command-line.md",
    "device without a browser": "how-to/device.md",
    "existing site of django-oauth-toolkit": "how-to/existing-site.md",
    "beside django-allauth, and moving in": "how-to/move-in.md",
    "Google, Microsoft and any OpenID provider": "how-to/providers.md",
    "company SSO by domain": "how-to/company-sso.md",
    "password": "how-to/passwords.md",
    "client that a document describes": "how-to/metadata-document.md",
    "logs and metrics": "how-to/observe.md",
    "enterprise-managed MCP": "how-to/enterprise-mcp.md",
    "resource server on another site": "how-to/resource-server.md",
    "store, provider, resolver and cipher of one's own": "extending.md",
    "theming": "theming.md",
    "Celery": "how-to/periodic-jobs.md",
    "gunicorn, uvicorn, nginx, systemd and containers": "how-to/deploy.md",
    "key rotation": "how-to/rotate-keys.md",
    "backup and restore": "how-to/backup.md",
    "deleting and exporting a person": "how-to/personal-data.md",
    "incident": "how-to/incident.md",
}


@pytest.mark.parametrize("task", PAGES)
def test_readme_and_the_index_lead_to_the_page_of(task):
    """In their tables "you have … → read …"."""
    assert (ROOT / "docs" / PAGES[task]).exists()
    for name, prefix in (("README.md", "docs/"), ("docs/index.md", "")):
        rows = re.findall(r"^\| .* \| (.*) \|$", (ROOT / name).read_text(), re.MULTILINE)
        assert any(f"]({prefix}{PAGES[task]})" in row for row in rows), name


#: Of these another test shows what they say, or they hold nothing to type.
OTHERS = {
    "clients.md": "a table of commands, which `tests/site/test_terminal.py` runs",
    "development.md": "`tests/site/test_development.py`",
    "company-sso.md": "needs the domain of a company; `tests/openid/test_discovery.py` has its own",
    "enterprise-mcp.md": "`tests/stock_clients/test_id_jag.py`",
    "mcp-scopes.md": "`tests/stock_clients/test_step_up.py`",
    "metadata-document.md": "`tests/clients/test_documents.py`",
    "observe.md": "`tests/kit/`",
    "passwords.md": "`tests/providers/test_password.py`",
    "providers.md": "needs an account at a provider; `tests/upstream/real/` signs in at thirty of them",
    "tool-server-for-github.md": "needs an account at GitHub; `tests/delegation/` exchanges the token",
}


def test_each_how_to_is_followed_by_a_test():
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    followed = set(re.findall(r'"how-to/([\w-]+\.md)"', text.replace(Path(__file__).read_text(), "")))
    pages = {path.name for path in (ROOT / "docs/how-to").glob("*.md")}
    assert pages - followed == set(OTHERS)
