"""The keyring that desktops have: the Secret Service on a D-Bus of its own, with GNOME's keyring behind it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Written to and read from the keyring in one process, then read in another.
SCRIPT = """
import sys
from pathlib import Path
import keyring
from django_lazyauth.client import Account, Bundle, Store
assert type(keyring.get_keyring()).__module__ == "keyring.backends.SecretService", keyring.get_keyring()
store = Store(Path(sys.argv[1]) / "lazyauth", plaintext=False)
account = Account("https://auth.example", "tool")
store.save("ada", account, Bundle("access-0", "refresh-0"))
store.save("ada", account, Bundle("access-1", "refresh-1"))
store.save("bob", account, Bundle("access-2", "refresh-2"))
store.save("bob", account, Bundle("access-3"))
print(keyring.get_password("lazyauth", "ada/refresh"), keyring.get_password("lazyauth", "bob/refresh"))
print(store.load("ada") == Bundle("access-1", "refresh-1"), store.load("bob") == Bundle("access-3"))
store.remove("ada")
print(keyring.get_password("lazyauth", "ada"), keyring.get_password("lazyauth", "ada/refresh"), store.accounts())
"""


@pytest.mark.services
def test_a_real_secret_service_keeps_both_slots_and_loses_them_with_the_account(tmp_path):
    if not (shutil.which("gnome-keyring-daemon") and shutil.which("dbus-run-session")):
        pytest.skip("service: no gnome-keyring-daemon and dbus-run-session here")
    unlock = 'printf "\\n" | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; exec "$@"'
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", unlock, "sh", sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["refresh-1 None", "True True", "None None ['bob']"]
