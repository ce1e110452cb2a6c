"""Compare sites of different sizes, on PostgreSQL: ``python -m tests.benchmarks.growth``.

Exits with 1 if a bar does not hold.
"""

from __future__ import annotations

import argparse
import os
import sys

import django

os.environ["LAZYAUTH_TEST_DATABASE"] = "postgresql"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.growth.settings")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--only", nargs="*", default=[], help="how the names of the operations begin")
    options = parser.parse_args()
    django.setup()
    from .ratios import growths
    from .report import print_growths
    from .sites import migrated, sites

    with migrated() as template, sites(template, options.sizes) as made:
        found = growths(made, samples=options.samples, wanted=options.only)
    print_growths(found, options.sizes)
    return 0 if all(growth.holds for growth in found) else 1


if __name__ == "__main__":
    sys.exit(main())
