"""Run a worker in a network namespace of its own, and drop all packets between it and PostgreSQL.

A pair of virtual interfaces joins two private namespaces. The worker reaches PostgreSQL over it, and nothing else.
Neither namespace has a route to the network of the machine. Unix sockets lead out, since their files are shared.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import forwarder

LINK = "link0"
SERVER, WORKER = "192.0.2.1", "192.0.2.2"
"""Addresses that are reserved for documentation, so no other network has them."""
MACS = {SERVER: "02:00:00:00:00:01", WORKER: "02:00:00:00:00:02"}

UNSHARE = (("unshare", "--net"), ("unshare", "--map-root-user", "--net"))
"""Commands that create a namespace: for root, and for other users if the machine permits it."""

PROBE = f"ip link add {LINK} type veth peer name probe && ip rule add pref 1 dev {LINK} blackhole"


def _find_way() -> tuple[str, ...]:
    """Return the first command that creates namespaces; skip the test if none of them works."""
    if missing := [name for name in ("ip", "unshare", "nsenter") if not shutil.which(name)]:
        pytest.skip(f"Network namespaces need Linux with {', '.join(missing)}")
    reasons = []
    for way in UNSHARE:
        probe = subprocess.run([*way, "sh", "-c", PROBE], capture_output=True, text=True)
        if not probe.returncode:
            return way
        reasons.append(f"{' '.join(way)}: {probe.stderr.strip()}")
    pytest.skip(f"Network namespaces are not permitted here: {'; '.join(reasons)}")


class Namespace:
    """Hold a private network namespace through a program, which forwards its connections to Unix sockets."""

    def __init__(self, make: tuple[str, ...], user: tuple[str, ...]) -> None:
        self._program = subprocess.Popen(
            [*make, sys.executable, forwarder.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._expect("here")
        self.pid = self._program.pid
        self.enter = ("nsenter", f"--target={self.pid}", *user)
        """Words before a command that needs the rights of the namespace's owner."""
        self.inside = (*self.enter, "--net")
        """Words before a command that runs in the namespace."""

    def ip(self, *commands: str) -> None:
        """Run commands of ``ip`` in the namespace."""
        batch = "\n".join(commands)
        subprocess.run([*self.inside, "ip", "-batch", "-"], input=batch, text=True, check=True)

    def forward(self, address: str, port: int, path: Path) -> None:
        """Listen in the namespace, and forward to a Unix socket."""
        assert self._program.stdin
        self._program.stdin.write(f"{address} {port} {path}\n")
        self._program.stdin.flush()
        self._expect("forwarding")

    def retransmissions(self) -> int:
        """Return how many TCP segments the namespace has sent more than once."""
        names, values = [
            line.split() for line in Path(f"/proc/{self.pid}/net/snmp").read_text().splitlines() if line[:4] == "Tcp:"
        ]
        return int(dict(zip(names, values, strict=True))["RetransSegs"])

    def close(self) -> None:
        """End the program, and with it the namespace."""
        self._program.communicate()

    def _expect(self, word: str) -> None:
        assert self._program.stdout
        assert self._program.stdout.readline() == f"{word}\n", "the program in the namespace ended"


class IsolatedMachine:
    """Stand for a machine that reaches the API at all times, and PostgreSQL over a link that can be cut."""

    def __init__(self, name: str, worker: Namespace, server: Namespace) -> None:
        self._name, self._ends, self.server, self.inside = name, (worker, server), server, worker.inside
        self.settings: dict[str, str] = {}

    def use(self, postgres: str) -> None:
        """Set the machine's destination: a database, by the address that other machines use.

        PostgreSQL knows the sessions of the machine by its name.
        """
        parts = urlsplit(postgres)
        netloc, query = f"{parts.username}:{parts.password}@{SERVER}:5432", f"application_name={self._name}"
        through = parts._replace(netloc=netloc, query=f"{query}&connect_timeout=3").geturl()
        self.settings["DESTINATION__POSTGRES__CREDENTIALS"] = through

    def cut(self) -> None:
        """Let both ends drop each packet that arrives; neither end gets an error."""
        for end in self._ends:
            end.ip(f"rule add pref 1 dev {LINK} blackhole")

    def heal(self) -> None:
        """Let packets arrive again."""
        for end in self._ends:
            end.ip("rule del pref 1")


def _join(server: Namespace, worker: Namespace) -> None:
    """Connect two namespaces by a link with fixed hardware addresses, since a cut link loses ARP requests too."""
    server.ip(
        f"link add {LINK} address {MACS[SERVER]} type veth peer name {LINK} address {MACS[WORKER]} netns {worker.pid}"
    )
    for end, own, other in ((server, SERVER, WORKER), (worker, WORKER, SERVER)):
        end.ip(
            "link set lo up",
            f"address add {own}/30 dev {LINK}",
            f"link set {LINK} up",
            f"neighbor replace {other} lladdr {MACS[other]} dev {LINK} nud permanent",
            # Linux looks up local addresses by its first rule; the rule that drops packets must precede it.
            "rule add pref 100 lookup local",
            "rule del pref 0",
        )


@contextmanager
def isolated_machine(name: str, *urls: str) -> Iterator[IsolatedMachine]:
    """Yield a machine that reaches APIs of this computer, and a second namespace over a link."""
    way = _find_way()
    with ExitStack() as stack:
        user = ("--user", "--preserve-credentials") if "--map-root-user" in way else ()
        server = Namespace(way, user)
        stack.callback(server.close)
        worker = Namespace((*server.enter, "unshare", "--net"), user)
        stack.callback(worker.close)
        _join(server, worker)
        for port in {urlsplit(url).port or 80 for url in urls}:
            worker.forward("127.0.0.1", port, stack.enter_context(_doorway("127.0.0.1", port)))
        yield IsolatedMachine(name, worker, server)


@contextmanager
def forwarded_postgres(machine: IsolatedMachine, address: str) -> Iterator[None]:
    """Let a machine load over its link into a database that this process reaches."""
    parts = urlsplit(address)
    with _doorway(parts.hostname or "127.0.0.1", parts.port or 5432) as path:
        machine.server.forward(SERVER, 5432, path)
        machine.use(address)
        yield


@contextmanager
def _doorway(host: str, port: int) -> Iterator[Path]:
    """Yield the path of a Unix socket whose connections this process forwards to a port."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        path = Path(folder) / "socket"
        listening.bind(str(path))
        listening.listen()
        forwarder.forward(listening, lambda: socket.create_connection((host, port)))
        yield path
        listening.shutdown(socket.SHUT_RDWR)


@contextmanager
def own_postgres(machine: IsolatedMachine) -> Iterator[str]:
    """Start a PostgreSQL server in the namespace behind a machine's link; yield its address for other machines.

    The server's own TCP connections lose packets, so it has to notice by itself.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs or os.geteuid() or len(machine.server.enter) > 2:
        pytest.skip("A PostgreSQL server in a network namespace needs its programs, and root to start it as its user")
    demote = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        shutil.chown(folder, "postgres", "postgres")
        data = f"{folder}/data"
        initialize = [*demote, str(programs[-1]), "--auth=trust", "--no-sync", "--username=postgres", data]
        subprocess.run(initialize, cwd=folder, check=True, capture_output=True)
        with Path(data, "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {WORKER}/32 trust\n")
        control = [*demote, str(programs[-1].with_name("pg_ctl")), f"--pgdata={data}"]
        options = f"-c listen_addresses={SERVER} -c fsync=off -k {folder}"
        start = [*machine.server.inside, *control, f"--log={folder}/log", f"--options={options}", "start"]
        subprocess.run(start, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        stop = [*control, "--mode=immediate", "stop"]
        stack.callback(subprocess.run, stop, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stack.callback(listening.shutdown, socket.SHUT_RDWR)
        forwarder.forward(listening, lambda: forwarder.unix_connection(f"{folder}/.s.PGSQL.5432"))
        address = f"postgresql://postgres:any@127.0.0.1:{listening.getsockname()[1]}/postgres"
        machine.use(address)
        yield address
