"""Test that both ends of a connection to PostgreSQL notice a lost network, after a time that users can set."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import psycopg2
import pytest
from dlt.destinations.exceptions import DatabaseTransientException
from m365_jobs.warehouse.pipeline import open_pipeline
from m365_jobs.warehouse.target import open_warehouse

from tests.support.warehouse import database_as_warehouse

pytestmark = pytest.mark.destinations

ON_SERVER = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")

LINUX = pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has all settings of TCP")


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of an empty database that is the warehouse."""
    with database_as_warehouse(tmp_path, monkeypatch) as first:
        yield first


def of_client(client: Any) -> list[int]:
    """Return the TCP settings of this end of a connection."""
    with socket.socket(fileno=os.dup(client.native_connection.fileno())) as connection:
        names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        return [connection.getsockopt(socket.IPPROTO_TCP, name) for name in names]


def of_server(client: Any) -> list[str]:
    """Return the TCP settings of the server's end."""
    return [client.execute_sql(f"SHOW {name}")[0][0] for name in ON_SERVER]


@contextmanager
def connected(target: Any) -> Iterator[Any]:
    """Yield a connected client of a pipeline or warehouse."""
    with target.sql_client() as client:
        yield client


@LINUX
def test_loads_and_readers_notice_a_lost_network_within_a_minute_on_both_ends(address: str) -> None:
    for target in (open_pipeline("default", "postgres"), open_warehouse("postgres")):
        with connected(target) as client:
            assert (of_client(client), of_server(client)) == ([20, 10, 4, 60_000], ["20", "10", "4", "60000"])
            with pytest.raises(DatabaseTransientException):
                client.execute_sql("SELECT 1 +")
            # dlt has reset the session.
            assert of_server(client) == ["20", "10", "4", "60000"]


@LINUX
@pytest.mark.parametrize(
    ("own", "client_end", "server_end"),
    [
        ("keepalives_idle=7", [7, ANY, ANY, 0], ["20", "10", "4", "60000"]),
        ("tcp_user_timeout=5000", [ANY, ANY, ANY, 5_000], ["20", "10", "4", "60000"]),
        ("options=-ctcp_keepalives_idle%3D9", [20, 10, 4, 60_000], ["9", ANY, ANY, "0"]),
        ("options=-cstatement_timeout%3D9000", [20, 10, 4, 60_000], ["20", "10", "4", "60000"]),
    ],
)
def test_settings_of_the_connection_string_stay(
    address: str, monkeypatch: pytest.MonkeyPatch, own: str, client_end: list[Any], server_end: list[Any]
) -> None:
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", f"{address}?{own}")
    with connected(open_pipeline("default", "postgres")) as client:
        assert (of_client(client), of_server(client)) == (client_end, server_end)
        if "statement_timeout" in own:
            assert client.execute_sql("SHOW statement_timeout") == [("9s",)]


@LINUX
def test_other_programs_connect_with_the_address_that_dlt_gives(address: str) -> None:
    credentials: Any = open_pipeline("default", "postgres").destination_client().config.credentials
    with closing(psycopg2.connect(credentials.to_native_representation())) as connection:
        cursor = connection.cursor()
        cursor.execute("SHOW tcp_user_timeout")
        assert cursor.fetchall() == [("60000",)]
