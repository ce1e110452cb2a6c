"""Django's command line for the upstream: ``python -m example_project.upstream runserver 8001``."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "example_project.upstream.settings"
    execute_from_command_line(sys.argv)
