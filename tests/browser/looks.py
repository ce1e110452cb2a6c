"""What a page looks like, asked from the browser: structure, names, contrast, width."""

from __future__ import annotations

from functools import cache
from typing import Any

from playwright.sync_api import Page

from tests.stock_clients import node

#: Violations of what every page keeps, as sentences. Contrast: WCAG 2.2 §1.4.3 (text), §1.4.11 (edges of fields).
FAULTS = """(scheme) => {
  const faults = [];
  const check = (holds, fault) => { if (!holds) faults.push(fault); };
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = (top, below) => {
    const [r, g, b, a = 1] = top;
    return [r, g, b].map((value, i) => value * a + below[i] * (1 - a));
  };
  const backgroundOf = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(channels(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const shown = (element) => element.getClientRects().length > 0;

  check(document.querySelectorAll("h1").length === 1, "there is not one h1");
  check(document.querySelectorAll("main").length === 1, "there is not one main");
  check(/^[a-z]{2}/.test(document.documentElement.lang), "the language is not said");
  check(document.title.trim(), "there is no title");
  const known = "[src$='/form_post.js'], [src$='/password.js']";
  const inline = document.querySelector(`script:not(${known}), [style]:not([style='']), style`);
  check(!inline, `there is an inline script or style: ${inline?.outerHTML.slice(0, 120)}`);
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  check(new Set(ids).size === ids.length, "an id is there twice");

  for (const field of document.querySelectorAll("input:not([type=hidden])")) {
    check(field.labels.length === 1 && field.labels[0].innerText.trim(), `${field.name} has no label`);
    if (!shown(field)) continue;
    check(field.autocomplete, `${field.name} does not say what to fill in`);
    const described = (field.getAttribute("aria-describedby") || "").split(" ").filter(Boolean);
    described.forEach((id) => check(document.getElementById(id), `${field.name} refers to #${id}, which is not there`));
    const border = channels(getComputedStyle(field).borderTopColor).slice(0, 3);
    const edge = contrast(border, backgroundOf(field.parentElement));
    check(edge >= 3, `the edge of ${field.name} has a contrast of ${edge.toFixed(2)}`);
  }
  for (const target of document.querySelectorAll("button, a")) {
    if (!shown(target)) continue;  // In a tab that is not open.
    check(target.innerText.trim(), "a button or a link has no name");
    const box = target.getBoundingClientRect();
    check(box.height >= (target.tagName === "A" ? 17 : 44), `${target.innerText} is ${box.height} high`);
  }
  for (const element of document.querySelectorAll("body *")) {
    const speaks = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!speaks || !shown(element)) continue;
    const found = contrast(channels(getComputedStyle(element).color).slice(0, 3), backgroundOf(element));
    check(found >= 4.5, `“${element.innerText}” has a contrast of ${found.toFixed(2)}`);
  }
  const [r, g, b] = backgroundOf(document.body);
  check(!scheme || (r + g + b < 200) === (scheme === "dark"), `the page is not ${scheme}`);
  return faults;
}"""

#: How far the page reaches beyond its window, and which elements do.
OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll("body *")].filter((element) => {
    const { left, right } = element.getBoundingClientRect();
    return left < -0.5 || right > width + 0.5;
  });
  const told = wide.map((e) => `${e.tagName}.${e.className}`);
  const main = document.querySelector("main");
  if (main && main.getBoundingClientRect().top + scrollY < 0) told.push("the top of the card cannot be reached");
  return document.documentElement.scrollWidth > width ? ["the page scrolls sideways", ...told] : told;
}"""

#: What axe-core, which the page must have, finds: the rule, and the elements that break it.
VIOLATIONS = """async ([part, rules]) => {
  const only = rules.length ? { runOnly: { type: "rule", values: rules } } : {};
  // Nothing is loaded: no rule that is on by default needs the text of the stylesheets.
  const { violations } = await axe.run(part, { resultTypes: ["violations"], preload: false, ...only });
  return violations.map(({ id, nodes }) => `axe ${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(" ")}`);
}"""

#: Rules of axe-core that look at colours. The others find the same in both schemes.
RULES_OF_COLOURS = ("color-contrast", "link-in-text-block")

FOCUSED = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  return {
    name: element.labels?.[0]?.innerText ?? element.innerText,
    outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
  };
}"""


def faults_of(page: Page, scheme: str = "") -> list[str]:
    """Return what is wrong with the page for somebody who sees little, or listens.

    Args:
        scheme: ``light`` or ``dark``, where the page has to be that.
    """
    found: list[str] = page.evaluate(FAULTS, scheme)
    return found


def overflow_of(page: Page) -> list[str]:
    """Return what does not fit into the width of the window."""
    found: list[str] = page.evaluate(OVERFLOW)
    return found


@cache
def axe_core() -> str:
    """Return the script of axe-core, in the version that ``tests/stock_clients/package.json`` names."""
    return (node.installed().folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


def violations_of(page: Page, part: object = "html", *, rules: tuple[str, ...] = ()) -> list[str]:
    """Return what axe-core finds wrong in *part* of the page, a context of axe-core. The page has :func:`axe_core`.

    Args:
        rules: Only these, instead of all that axe-core has on by default.
    """
    found: list[str] = page.evaluate(VIOLATIONS, [part, list(rules)])
    return found


def focused(page: Page) -> dict[str, Any]:
    """Return name and outline (CSS pixels) of what the keyboard would act on."""
    found: dict[str, Any] = page.evaluate(FOCUSED)
    return found


def tab_to(page: Page, name: str, *, at_most: int = 12) -> None:
    """Press Tab until the control of this name has the focus, visibly."""
    for _ in range(at_most):
        page.keyboard.press("Tab")
        control = focused(page)
        assert control["outline"] >= 2, f"the focus on {control['name']!r} cannot be seen"
        if control["name"] == name:
            return
    raise AssertionError(f"the keyboard does not reach {name!r}")
