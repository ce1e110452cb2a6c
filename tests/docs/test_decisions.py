"""The index of ``docs/decisions/`` names each record with its title and date."""

from __future__ import annotations

import re

import pytest

from tests.docs.test_docs import ROOT

FOLDER = ROOT / "docs/decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


def test_records_are_numbered_without_a_gap():
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_the_index_names_the_record_with_its_title_and_date(record):
    number, title, date = re.match(
        r"# (\d+)\. (.*)\n\nDate: (\d{4}-\d\d-\d\d)\n", record.read_text()
    ).groups()
    assert int(number) == int(record.name[:4])
    assert f"| {record.name[:4]} | [{title}]({record.name}) | {date} |" in (FOLDER / "README.md").read_text()
