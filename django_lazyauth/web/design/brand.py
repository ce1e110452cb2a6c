"""What every page says of the site itself, and the stylesheet with the site's colours.

The colours are a stylesheet of their own address, because the policy of the pages allows no inline style.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe

from django_lazyauth.conf import BrandSettings, contrast, lazyauth_settings

#: Seconds that browsers keep the stylesheet of an address. Other colours have another address.
MAX_AGE: Final = 365 * 24 * 3600
_WHITE, _BLACK = "#ffffff", "#10141c"


@dataclass(frozen=True, slots=True)
class Brand:
    """What a page shows of the site.

    Attributes:
        logo: URL of the picture; empty where there is none, or where its file is missing.
        stylesheet: Address of the site's colours; empty where it has none of its own.
    """

    name: str
    logo: str
    support_url: str
    terms_url: str
    privacy_url: str
    stylesheet: str


def brand_of_site() -> Brand:
    """Return what a page shows of the site, in the active language."""
    row = lazyauth_settings.brand
    css = stylesheet_of(row)
    version = hashlib.sha256(css.encode()).hexdigest()[:12]
    return Brand(
        name=lazyauth_settings.site_name,
        logo=_logo(row.logo),
        support_url=row.support_url,
        terms_url=row.terms_url,
        privacy_url=row.privacy_url,
        stylesheet=f"{reverse('lazyauth:brand')}?v={version}" if css else "",
    )


def _logo(path: str) -> str:
    if not path or path.startswith("https:"):
        return path
    try:
        return static(path)
    except ValueError:
        # A storage with a manifest does not know the file. The name is enough.
        return ""


def logo_origin() -> str:
    """Return the origin that the policy of a page has to allow for the logo; empty for a static file."""
    parts = urlsplit(lazyauth_settings.brand.logo)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def stylesheet_of(row: BrandSettings) -> str:
    """Return the variables that differ from ours; empty where none does."""
    light = _variables(row.accent, strong=_BLACK)
    dark = _variables(row.accent_dark, strong=_WHITE)
    rules = [f":root{{{light}}}"] if light else []
    if dark:
        rules.append(f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}")
    elif light:
        # Without it the light accent would hold on dark pages too.
        rules[0] = f"@media not all and (prefers-color-scheme:dark){{{rules[0]}}}"
    return "\n".join(rules)


def _variables(accent: str, *, strong: str) -> str:
    if not accent:
        return ""
    above = max(_WHITE, _BLACK, key=lambda colour: contrast(colour, accent))
    return (
        f"--lazyauth-accent:{accent};--lazyauth-on-accent:{above};"
        f"--lazyauth-accent-strong:{_mixed(accent, strong)}"
    )


def _mixed(colour: str, other: str, share: float = 0.2) -> str:
    """Return *colour* with a *share* of *other*."""
    pairs = ((int(colour[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(one * (1 - share) + two * share):02x}" for one, two in pairs)


@login_not_required
@require_safe
def brand_view(request: HttpRequest) -> HttpResponse:
    """Return the site's colours as a stylesheet. It is the same for everybody."""
    response = HttpResponse(stylesheet_of(lazyauth_settings.brand), content_type="text/css; charset=utf-8")
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
