"""Measure every claim on one database and write the results as JSON to stdout.

``python -m tests.benchmarks`` starts one such process per database (``LAZYAUTH_TEST_DATABASE``), so that each
has the settings of the tests for it. The database is made, migrated and dropped here; work is committed to it
as on a site. Arguments are names of claims without ``claim_``; without any, all are measured.
"""

from __future__ import annotations

import json
import os
import sys

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.settings")


def main() -> None:
    django.setup()
    from django.conf import settings
    from django.db import connection

    from .claims import all_claims
    from .harness import measure

    LAZYAUTH = settings.LAZYAUTH  # noqa: N806 - the name of the setting
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    results = []
    try:
        for claim in all_claims(sys.argv[1:]):
            if connection.vendor not in claim.vendors:
                continue
            print(f"{connection.vendor}: {claim.text} …", file=sys.stderr)
            call_command("flush", interactive=False, verbosity=0)
            # A claim may change the settings for itself.
            settings.LAZYAUTH = LAZYAUTH
            found = measure(claim)
            costs = found.ours_cost, found.peer_cost
            print(
                f"    {found.ours * 1000:.2f} ms / {found.peer * 1000:.2f} ms = {found.ratio:.3f}",
                file=sys.stderr,
            )
            results.append(
                {
                    "claim": f"{claim.text}, {connection.display_name}",
                    "ours": found.ours,
                    "peer": found.peer,
                    "bound": claim.bound_on(connection.vendor),
                    "queries": [cost.queries if cost else None for cost in costs],
                    "commits": [cost.commits if cost else None for cost in costs],
                }
            )
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
