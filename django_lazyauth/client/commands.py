"""``lazyauth login | status | token | logout | accounts``. Other tools run it under their own name."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from .errors import ClientError, NoAnswer, RefreshTransient, StoreUnavailable
from .provider import Provider
from .record import Record
from .refresh import refresh_access_token
from .sign_in.login import login
from .sign_in.registration import DynamicRegistration
from .store import Store

#: What a shell script learns. 2 is argparse's: a command that is not understood.
DONE, SIGN_IN_AGAIN, TRY_LATER, NO_STORE, INTERRUPTED = 0, 1, 3, 4, 130
_EXIT_CODES: Final = (
    "exit codes: 0 done; 1 nobody is signed in, or the server refused; 2 not understood; 3 try later; "
    "4 the keyring or the files cannot be used"
)


def main(
    arguments: Sequence[str] | None = None,
    *,
    service: str = "lazyauth",
    url: str | None = None,
    client_id: str | None = None,
) -> int:
    """Run one command, and return its exit code.

    Args:
        arguments: By default those of this process.
        service: Name of the tool: in its help, in the keyring, and on the consent page.
        url: The server of a tool that has one. Otherwise ``login`` takes it.
        client_id: Of the tool at that server, if it does not register itself.
    """
    options = _parser(service, url, client_id).parse_args(arguments)
    store = Store(service=service, plaintext=True if options.plaintext else None)
    command: Callable[[Store, argparse.Namespace], int] = options.command
    try:
        return command(store, options)
    except (RefreshTransient, NoAnswer) as error:
        return _fail(error, TRY_LATER)
    except StoreUnavailable as error:
        return _fail(error, NO_STORE)
    except ClientError as error:
        return _fail(error, SIGN_IN_AGAIN)
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser(service: str, url: str | None, client_id: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=service, epilog=_EXIT_CODES)
    parser.add_argument(
        "--plaintext", action="store_true", help="keep tokens in a file if there is no keyring"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("login", help="sign in, and keep the tokens")
    one.add_argument("url", nargs=None if url is None else "?", default=url, help="a resource or an issuer")
    one.add_argument("--account", help="name of the account; by default what the server says of you")
    one.add_argument("--device", action="store_true", help="show a code for a browser on another machine")
    one.add_argument("--scope", help="what to ask for, separated by spaces")
    one.add_argument("--client-id", default=client_id, help="of a client that the server knows")
    one.add_argument("--register", action="store_true", help="register as a client anew")
    one.add_argument("--bound", action="store_true", help="bind the tokens to a key (DPoP)")
    one.set_defaults(command=_login)

    for name, command, text in (
        ("status", _status, "say who is signed in, and for how long"),
        ("token", _token, "print an access token that is good for a minute at least"),
        ("logout", _logout, "end the session at the server, and forget the tokens"),
    ):
        one = commands.add_parser(name, help=text)
        one.add_argument("--account", help="by default the default account")
        one.set_defaults(command=command)
        if name == "token":
            one.add_argument("--force", action="store_true", help="refresh it, as after a 401")
        if name == "logout":
            one.add_argument("--local", action="store_true", help="forget the tokens only")

    one = commands.add_parser("accounts", help="list accounts, choose the default, or forget one")
    one.add_argument("action", nargs="?", choices=["list", "use", "current", "remove"], default="list")
    one.add_argument("name", nargs="?")
    one.set_defaults(command=_accounts, parser=one)
    return parser


def _login(store: Store, options: argparse.Namespace) -> int:
    registration = DynamicRegistration(store.directory, store.service)
    name = login(
        options.url,
        store,
        account=options.account,
        client_id=options.client_id,
        registration=registration.anew() if options.register else registration,
        scope=options.scope,
        device=options.device,
        bound=options.bound,
    )
    return _say(f"Signed in as {name}.")


def _status(store: Store, options: argparse.Namespace) -> int:
    record = store.named(options.account)
    for line in (
        f"{record.name} at {record.account.issuer}",
        f"The access token {_when(record.expires_at, time.time())}.",
        _renewal(record),
        f"Tokens are in {'the keyring' if record.storage == 'keyring' else 'a file of mode 0600'}.",
    ):
        _say(line)
    return DONE


def _token(store: Store, options: argparse.Namespace) -> int:
    return _say(refresh_access_token(store, account=options.account, force=options.force).access_token)


def _logout(store: Store, options: argparse.Namespace) -> int:
    record = store.named(options.account)
    if not options.local:
        bundle = store.load(record.name)
        if bundle is not None and record.account.revocation_endpoint is None:
            sys.stderr.write("The server revokes nothing. Its tokens last until they end.\n")
        elif bundle is not None and not Provider(record.account).revoke(bundle):
            sys.stderr.write("The server did not confirm. Try again, or forget the tokens with --local.\n")
            return TRY_LATER
    store.remove(record.name)
    return _say(f"Signed out {record.name}.")


def _accounts(store: Store, options: argparse.Namespace) -> int:
    if (options.name is not None) != (options.action in ("use", "remove")):
        options.parser.error("use and remove take a name, and the others none")
    if options.action == "list":
        current = store.current()
        for name in store.accounts():
            _say(f"{'*' if name == current else ' '} {name}")
    elif options.action == "current":
        _say(store.named(None).name)
    elif options.action == "use":
        store.use(options.name)
    else:
        store.remove(options.name)
    return DONE


def _renewal(record: Record) -> str:
    if record.has_refresh_token == "no":
        return "It cannot be refreshed: sign in again when it ends."
    return "It is refreshed when it is used."


def _when(end: float | None, now: float) -> str:
    """Say in words when something ends."""
    if end is None:
        return "ends at a time that the server did not say"
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if (count := int(abs(end - now) // seconds)) > 0:
            words = f"{count} {unit}{'s' if count > 1 else ''}"
            break
    else:
        words = "less than a minute"
    return f"ends in {words}" if end > now else f"ended {words} ago"


def _say(text: str) -> int:
    sys.stdout.write(text + "\n")
    return DONE


def _fail(error: ClientError, code: int) -> int:
    sys.stderr.write(f"{error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
