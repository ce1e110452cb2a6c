"""The checks of the other modules see what they are there to see."""

from __future__ import annotations

import pytest

from .looks import faults_of, overflow_of
from .person import Somebody
from .site import Site
from .walker import ROOT

STYLE = ROOT / "django_lazyauth" / "static" / "django_lazyauth" / "style.css"
SOUND = """<!doctype html><html lang=en><title>T</title><main><h1>H</h1>
<label for=a>A</label><input id=a name=a autocomplete=email></main>"""


def test_a_sound_page_has_no_faults(person: Somebody):
    person.page.set_content(SOUND)
    assert faults_of(person.page) == overflow_of(person.page) == []


@pytest.mark.parametrize(
    ("sound", "unsound", "fault"),
    [
        ("<h1>H</h1>", "<h1>H</h1><h1>I</h1>", "there is not one h1"),
        ("lang=en", "", "the language is not said"),
        ("for=a", "", "a has no label"),
        ("<h1>", "<h1 style='color: #888'>", "“H” has a contrast of 3.54"),
        ("<input", "<input aria-describedby=b", "a refers to #b, which is not there"),
        ("</main>", "<button style='height: 50px'></button></main>", "a button or a link has no name"),
    ],
)
def test_a_fault_is_named(person: Somebody, sound, unsound, fault):
    person.page.set_content(SOUND.replace(sound, unsound))
    assert fault in faults_of(person.page)


#: How many lines each address takes.
LINES = """() => [...document.querySelectorAll("strong, bdi")].map((each) => {
  const range = document.createRange();
  range.selectNodeContents(each);
  return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size;
})"""


def test_an_address_with_hyphens_is_not_broken_where_a_line_can_hold_it(person: Somebody):
    """Spec 10, from 320 px: it is read as one word. A longer one is broken, and nothing scrolls sideways."""
    fits, longer = "ada-lovelace@people.example", f"ada-{'king-' * 9}noel@people.example"
    text = f"You are signed in as <strong>{fits}</strong>. <strong>{longer}</strong>"
    hint = f"<p class=lazyauth-hint>Chrome on Linux · network <bdi>{fits}</bdi>"
    person.page.set_viewport_size({"width": 320, "height": 640})
    person.page.set_content(
        f"<style>{STYLE.read_text()}</style><body class=lazyauth><main class=lazyauth-card><p>{text}</p>{hint}</main>"
    )
    one, many, hinted = person.page.evaluate(LINES)
    assert (one, many > 1, hinted) == (1, True, 1)
    assert overflow_of(person.page) == []


def test_what_reaches_beyond_the_window_is_named(person: Somebody):
    person.page.set_content(SOUND.replace("<h1>", "<h1 style='width: 9000px'>"))
    assert overflow_of(person.page)[0] == "the page scrolls sideways"


def test_a_violation_of_the_policy_is_a_complaint(site: Site, person: Somebody):
    """CSP Level 3: an inline style, or a script, on a page of ours."""
    person.open(site.client())
    assert person.complaints == []
    for element in ("style", "script"):
        person.page.evaluate(
            "name => document.head.append(Object.assign(document.createElement(name), {textContent: ' '}))",
            element,
        )
        person.page.wait_for_timeout(200)
        assert "Content Security Policy" in person.complaints.pop()
        person.complaints.clear()
