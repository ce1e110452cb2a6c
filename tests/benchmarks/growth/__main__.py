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
    parser.add_argument("--samples", type=int, default=60, help="runs of each operation at each site")
    parser.add_argument("--only", nargs="*", default=[], help="how the names of the operations begin")
    parser.add_argument(
        "--log-samples", type=int, default=150, help="sign-ins whose log is counted; 0 for none"
    )
    parser.add_argument(
        "--expired", type=int, default=20_000, help="tokens of each kind to clear; 0 for none"
    )
    options = parser.parse_args()
    django.setup()
    from .expired_tokens import clearing
    from .log_volume import log_volumes
    from .ratios import growths
    from .report import print_clearing, print_growths, print_log_volumes
    from .sites import migrated, sites

    with migrated() as template:
        with sites(template, options.sizes) as made:
            found = growths(made, samples=options.samples, wanted=options.only)
            print_growths(found, options.sizes)
            volumes = log_volumes(made[0], samples=options.log_samples)
            if volumes:
                print_log_volumes(volumes)
        cleared = [clearing(template, rows=options.expired)] if options.expired else []
        for one in cleared:
            print_clearing(one)
    return 0 if all(one.holds for one in (*found, *volumes, *cleared)) else 1


if __name__ == "__main__":
    sys.exit(main())
