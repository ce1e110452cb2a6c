"""The versions that ``pyproject.toml`` promises are those that ``.ci/matrix`` tries."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.floors import ROOT, floors

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def classified(prefix):
    """Return the versions that classifiers name."""
    named = (line.removeprefix(prefix) for line in PROJECT["classifiers"] if line.startswith(prefix))
    return {version for version in named if "." in version}


PYTHONS = sorted(classified("Programming Language :: Python :: "), key=Version)


def pins(name):
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    found = {}
    for pin in map(Requirement, lines):
        [only] = pin.specifier
        assert only.operator == "=="
        found[canonicalize_name(pin.name)] = Version(only.version)
    return found


@pytest.fixture
def machine(tmp_path):
    """What a machine has to offer that knows a shell and these Pythons. The list asks each only for its version."""

    def with_pythons(*versions):
        for name in ("bash", "dirname", "ls", "realpath", "sort"):
            (tmp_path / name).symlink_to(shutil.which(name))
        for version in versions:
            (tmp_path / f"python{version}").symlink_to(shutil.which("true"))
        return {"PATH": str(tmp_path), "HOME": str(tmp_path)}

    return with_pythons


def listed(environment):
    return subprocess.run(
        [shutil.which("bash"), ".ci/matrix", "--list"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def cells(environment):
    done = listed(environment)
    assert done.stderr == ""
    return [tuple(line.split()) for line in done.stdout.splitlines()]


def test_each_python_and_each_django_that_is_promised_is_tried(machine):
    found = cells(machine(*PYTHONS))
    assert {python for python, _ in found} == set(PYTHONS)
    djangos = {pins(name)["django"] for _, name in found}
    assert {f"{one.major}.{one.minor}" for one in djangos} == classified("Framework :: Django :: ")


def test_the_oldest_python_that_is_promised_is_the_oldest_that_may_install_the_package():
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


def test_each_python_meets_each_set_of_versions_in_the_full_matrix(machine):
    """Django 6 needs Python 3.12."""
    offered = machine(*PYTHONS)
    _, sets = zip(*cells(offered), strict=True)
    every = {(python, name) for python in PYTHONS for name in sets}
    assert set(cells(offered | {"FULL": "1"})) == every - {("3.11", "django61")}


def test_the_newest_python_meets_a_toolkit_that_is_not_released_if_a_checkout_is_named(machine, tmp_path):
    offered = machine(*PYTHONS)
    assert cells(offered | {"LAZYAUTH_DOT_PATH": str(tmp_path)}) == [
        *cells(offered),
        (PYTHONS[-1], "unreleased"),
    ]


def test_a_missing_python_is_skipped_and_said(machine):
    done = listed(machine(*PYTHONS[1:]))
    assert done.returncode == 0
    assert PYTHONS[0] not in done.stdout
    assert f"Python {PYTHONS[0]} is missing" in done.stderr


def test_where_nothing_may_be_skipped_a_missing_python_is_an_error(machine):
    done = listed(machine(*PYTHONS[1:]) | {"LAZYAUTH_REQUIRE_SERVICES": "1"})
    assert done.returncode != 0
    assert f"Python {PYTHONS[0]} is missing" in done.stderr


def test_the_lowest_versions_that_are_tried_are_those_that_are_declared():
    """``make pins`` writes them. Whoever changes a floor runs it."""
    lowest = pins("lowest")
    for floor in floors():
        [declared] = floor.specifier
        assert lowest[canonicalize_name(floor.name)] == Version(declared.version), floor


def test_the_page_on_compatibility_names_these_versions():
    page = (ROOT / "docs/compatibility.md").read_text()
    assert f"| Python | {', '.join(PYTHONS)} |" in page
    for package in ("Django", "django-oauth-toolkit"):
        [row] = re.findall(rf"^\| {package} \| (.*) \|$", page, re.MULTILINE)
        assert f"from {pins('lowest')[package.lower()]} on" in row
