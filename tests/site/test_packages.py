"""Wheel and source distribution hold what they need, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Of the folders that a source distribution has.
SHIPPED = (
    ".ci",
    "django_lazyauth",
    "docs",
    "example_project",
    "requirements",
    "tests",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "manage.py",
)
#: What hatchling adds.
ADDED = {"pyproject.toml", "PKG-INFO", ".gitignore"}


def files_of(*folders: str) -> set[str]:
    """Return the files of the checkout. What git ignores is no part of it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("needs a git checkout")
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def test_the_wheel_holds_the_package_and_nothing_else(built):
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {name for name in names if ".dist-info/" not in name}
    assert package == files_of("django_lazyauth")
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.mark.parametrize("ending", [".html", ".txt", ".css", ".svg", ".mo", "py.typed"])
def test_the_wheel_holds_every_kind_of_file_that_is_read_at_run_time(built, ending):
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert any(name.endswith(ending) for name in archive.namelist())


def test_the_source_distribution_holds_what_tests_and_docs_need(built):
    [source] = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert names - ADDED == files_of(*SHIPPED) - ADDED
