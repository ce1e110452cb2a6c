"""Parts of reference pages that are read from the code: the commands, from their parsers, and the models."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.core.management import load_command_class
from django.core.management.base import BaseCommand

import django_lazyauth

#: Options of every command of Django.
_OF_DJANGO = {
    action.dest for action in BaseCommand().create_parser("manage.py", "x")._actions if action.option_strings
}


def command_names() -> list[str]:
    folder = Path(django_lazyauth.__file__).parent / "management" / "commands"
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def commands() -> Iterator[str]:
    for name in command_names():
        command = load_command_class("django_lazyauth", name)
        parser = command.create_parser("manage.py", name)
        yield f"## {name}"
        yield ""
        yield _as_text(command.help)
        yield ""
        yield "```console"
        yield f"$ python {(parser.epilog or '').removeprefix('Example: ')}"
        yield "```"
        yield ""
        own = [action for action in parser._actions if action.dest not in _OF_DJANGO]
        if own:
            yield "| argument | |"
            yield "|---|---|"
            yield from (f"| {_names(action)} | {_as_text(_help(action, parser))} |" for action in own)
            yield ""


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    return parser._get_formatter()._expand_help(action) if action.help else ""


def _names(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest)
    if not action.option_strings:
        return f"`{value}`"
    takes = "" if action.nargs == 0 else f" {value if action.metavar else value.upper()}"
    return ", ".join(f"`{option}{takes}`" for option in action.option_strings)


def models() -> Iterator[str]:
    for model in sorted(apps.get_app_config("lazyauth").get_models(), key=lambda one: one.__name__):
        if not model._meta.managed:
            continue
        yield f"## {model.__name__}"
        yield ""
        yield _as_text((inspect.getdoc(model) or "").partition("\n\n")[0])
        yield ""
        yield "| column | type |"
        yield "|---|---|"
        for field in model._meta.concrete_fields:
            target = f" to `{field.related_model._meta.label}`" if field.related_model else ""
            yield f"| `{field.name}` | {field.get_internal_type()}{target} |"
        yield ""


def _as_text(text: str) -> str:
    """Return *text* in one line, with the names that Python's markup has as code."""
    text = re.sub(r":\w+:`[~.]?([^`]+)`", r"`\1`", " ".join(text.split())).replace("``", "`")
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" not in text else text.replace("|", "\\|")
