"""Test that ``check`` names files with secrets, and warehouses, that other users of the machine can read."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from avepoint_simulator import Simulator

from tests.support.cli import Cli, make_user
from tests.support.receivers import certificate

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")


@pytest.fixture
def user(simulator: Simulator) -> Iterator[Cli]:
    """Return a user with folders that all users of the machine can enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        first = make_user(Path(folder), simulator)
        (first.folder / ".dlt").mkdir(mode=0o755)
        yield first


def files(user: Cli, *options: str) -> list[str]:
    lines = user.run("check", *options).stdout.splitlines()
    return [line for line in lines if " files: " in line]


def test_secrets_and_warehouse_that_others_can_read_are_named_with_the_cure(user: Cli) -> None:
    user.run("load")
    secrets, warehouse = user.folder / ".dlt" / "secrets.toml", user.folder / "m365_warehouse.duckdb"
    secrets.write_text("")
    secrets.chmod(0o644)
    warehouse.chmod(0o664)
    assert files(user) == [
        f"warn  files: Open to other users: {secrets} has the mode 644 and holds secrets. Run chmod 600 {secrets}.",
        f"warn  files: Open to other users: {warehouse} has the mode 664 and holds names of mailboxes and sites. "
        f"Run chmod o-rwx {warehouse}.",
    ]
    secrets.chmod(0o600)
    warehouse.chmod(0o660)
    assert files(user) == []


def test_files_in_a_private_folder_are_accepted(user: Cli) -> None:
    user.run("load")
    (user.folder / ".dlt" / "secrets.toml").write_text("")
    (user.folder / ".dlt" / "secrets.toml").chmod(0o644)
    (user.folder / "m365_warehouse.duckdb").chmod(0o644)
    user.folder.parent.chmod(0o700)
    assert files(user) == []


def test_the_permissions_of_a_certificate_and_a_lake_are_checked(user: Cli) -> None:
    _, key = certificate(user.folder, as_rsa=True)
    user.environment.pop("SOURCES__AVEPOINT_M365__CREDENTIALS__CLIENT_SECRET")
    both = user.folder / "both.pem"
    both.write_bytes(b"".join(path.read_bytes() for path in (key, key.with_suffix(".pem"))))
    both.chmod(0o640)
    lake = user.folder / "lake"
    lake.mkdir(mode=0o755)
    user.set(credentials__certificate_path=str(both))
    user.environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = "lake"
    done = user.run("check", "--destination", "filesystem", code=None).stdout
    assert f"warn  files: Open to other users: {both} has the mode 640 and holds secrets." in done
    assert f"warn  files: Open to other users: {lake} has the mode 755 and holds names" in done


def test_init_marks_what_is_open_as_check_does(user: Cli, simulator: Simulator) -> None:
    user.run("load")
    warehouse = user.folder / "m365_warehouse.duckdb"
    warehouse.chmod(0o664)
    user.environment["M365_JOBS_CLIENT_SECRET"] = simulator.client_secret
    places = ("--base-url", simulator.base_url, "--token-url", simulator.token_url)
    done = user.run("init", "--tenant", "contoso", "--client-id", simulator.client_id, *places).stdout
    assert f"warn  files: Open to other users: {warehouse} has the mode 664" in done
