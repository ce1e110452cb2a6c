"""Settings of ``make demo``: those of development, a provider that fails once when it is told to, and devices."""

from __future__ import annotations

from . import environment
from .settings import *  # noqa: F403  Django's settings are one flat namespace.
from .settings import LAZYAUTH

LAZYAUTH["PROVIDERS"]["demo"] |= {
    "class": "example_project.demo_fault.FailingOnceProvider",
    "fault_file": environment.value("DEMO_FAULT_FILE"),
}
# Her organisation may let this client act for her, without a page.
LAZYAUTH["PROVIDERS"]["demo"]["id_jag"] = {
    "clients": ["agent"],
    "scopes": ["profile"],
    "resources": [f"{LAZYAUTH['ISSUER']}api/whoami"],
}
# The command line of the demo registers itself, and asks by device code.
LAZYAUTH["DEVICE_FLOW"] = {"strangers": True, "interval": 1}
