"""Define the command ``init``: ask for the settings, write them, and check them."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from m365_jobs.cli.options import Verbose, failures

FOLDER = ".dlt"


def init(
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Label of the tenant, such as contoso.")] = None,
    data_center: Annotated[str | None, typer.Option(help="Where the tenant lives, such as us or we.")] = None,
    client_id: Annotated[str | None, typer.Option(help="Client id of the app registration.")] = None,
    client_secret: Annotated[
        str | None,
        typer.Option(
            envvar="M365_JOBS_CLIENT_SECRET", help="Where its secret is: - for a line of stdin. Asked for if unset."
        ),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="Certificate instead of a secret: .pfx or .pem.")] = None,
    certificate_password: Annotated[
        str | None,
        typer.Option(envvar="M365_JOBS_CERTIFICATE_PASSWORD", help="Where its password is: - for a line of stdin."),
    ] = None,
    location: Annotated[list[str] | None, typer.Option(help="Location of a Multi-Geo tenant; repeatable.")] = None,
    find_locations: Annotated[
        bool, typer.Option("--find-locations", help="Ask the API which locations have jobs, and write those.")
    ] = False,
    destination: Annotated[str | None, typer.Option(help="dlt destination; a DuckDB file if unset.")] = None,
    destination_credentials: Annotated[
        str | None,
        typer.Option(
            envvar="M365_JOBS_DESTINATION_CREDENTIALS", help="Where its connection string is: - for a line of stdin."
        ),
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="Host of the API, instead of the data centre's.")] = None,
    token_url: Annotated[str | None, typer.Option(help="Token URL, instead of the environment's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace credentials that exist.")] = False,
    verbose: Verbose = False,
) -> None:
    """Write .dlt/config.toml and secrets.toml, then check them.

    Secrets are asked for, read from variables or from stdin, and never taken from the command line.

    Example: m365-jobs init --tenant contoso --data-center we
    """
    exit_code = 0
    with failures(verbose):
        from m365_jobs.config import write

        client_secret = _secret(context, "client_secret", client_secret)
        certificate_password = _secret(context, "certificate_password", certificate_password)
        destination_credentials = _secret(context, "destination_credentials", destination_credentials)
        source: dict[str, Any] = {
            "tenant": _value(tenant, "Label of the tenant", "--tenant", "default"),
            "data_center": _value(data_center, "Data centre (us, we, uk, ...)", "--data-center", "us"),
        }
        source |= {key: value for key, value in (("base_url", base_url), ("token_url", token_url)) if value}
        credentials = {"client_id": _value(client_id, "Client id", "--client-id")}
        credentials |= _proof(client_secret, certificate, certificate_password)
        if location:
            source["locations"] = location
        elif not find_locations:
            find_locations = _confirmed("Multi-Geo tenant? Ask the API which locations have jobs")
        destination, destination_credentials = _destination(destination, destination_credentials)
        _check_names(source)
        settings = write.Settings(source, credentials, destination, destination_credentials)
        for path in write.write_configuration(Path(FOLDER), settings, replace=force):
            typer.echo(f"Written: {path}")
        _reload()
        if find_locations:
            _offer_locations()
        exit_code = _check()
    raise typer.Exit(exit_code)


def _secret(context: typer.Context, name: str, given: str | None) -> str | None:
    """Return a secret from the environment, or from stdin if the option is ``-``.

    Raises:
        UsageError: if the command line contains the secret itself, or stdin is empty.
    """
    from m365_jobs.errors.exceptions import UsageError

    option, variable = f"--{name.replace('_', '-')}", f"M365_JOBS_{name.upper()}"
    if given == "-":
        if sys.stdin.isatty():
            return str(typer.prompt(option, hide_input=True, err=True))
        # PowerShell begins what it pipes with a byte order mark.
        line = sys.stdin.readline().lstrip("\ufeff").strip()
        if not line:
            raise UsageError(f"{option} - reads a line of stdin, which is empty. Pipe the secret into the command.")
        return line
    source = context.get_parameter_source(name)
    if given and source is not None and source.name == "COMMANDLINE":
        raise UsageError(
            f"{option} holds the secret itself, which the list of processes and the history of the shell show. "
            f"Replace the secret where it was shown, and pipe it: {option} - reads a line of stdin. Or set {variable}."
        )
    return given


def _value(given: str | None, question: str, option: str, default: str | None = None, *, hide: bool = False) -> str:
    """Return an option, or the user's answer on a terminal.

    Raises:
        UsageError: if there is neither an option, a terminal nor a default.
    """
    from m365_jobs.errors.exceptions import UsageError

    value = given or _answer(question, default, hide=hide)
    if value is None:
        raise UsageError(f"{option} is missing, and there is no terminal to ask on. Give the option.")
    return value


def _answer(question: str, default: str | None = "", *, hide: bool = False) -> str | None:
    """Return the user's answer on a terminal, else the default."""
    if not sys.stdin.isatty():
        return default
    return str(typer.prompt(question, default=default, hide_input=hide, show_default=bool(default), err=True))


def _proof(secret: str | None, certificate: Path | None, password: str | None) -> dict[str, str]:
    """Return the settings of a certificate or of a secret, which authenticate the client id."""
    path = str(certificate or "")
    if not path and not secret:
        path = _answer("Certificate (.pfx or .pem; empty for a client secret)") or ""
    if not path:
        return {"client_secret": _value(secret, "Client secret", "--client-secret", hide=True)}
    password = password or _answer("Password of the certificate (empty for none)", hide=True)
    return {"certificate_path": path} | ({"certificate_password": password} if password else {})


def _destination(destination: str | None, credentials: str | None) -> tuple[str | None, str | None]:
    """Return the destination and its connection string; None for the DuckDB file."""
    from m365_jobs.config.program_keys import DEFAULT_DESTINATION

    destination = destination or _answer("Destination", DEFAULT_DESTINATION)
    if destination in ("", DEFAULT_DESTINATION):
        return None, None
    question = f"Connection string of {destination} (empty to set its credentials later)"
    return destination, credentials or _answer(question, hide=True) or None


def _confirmed(question: str) -> bool:
    return sys.stdin.isatty() and typer.confirm(question, default=False, err=True)


def _check_names(source: dict[str, Any]) -> None:
    from avepoint_m365.config import check_locations, resolve_service_urls

    check_locations(source.get("locations"))
    resolve_service_urls(
        source["data_center"], None, source.get("base_url"), source.get("token_url"), trusted_hosts=None
    )


def _reload() -> None:
    """Let dlt read the written files."""
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

    Container()[PluggableRunContext].reload_providers()


def _offer_locations() -> None:
    """Write the locations that have jobs; on a terminal, ask the user before."""
    from m365_jobs.config import write

    locations = _locations_with_jobs()
    if not locations:
        typer.echo("No location has jobs of its own: the tenant is not Multi-Geo. None is written.")
        return
    typer.echo(f"Locations with jobs: {', '.join(locations)}")
    if not sys.stdin.isatty() or typer.confirm("Load these locations?", default=True, err=True):
        write.add_locations(Path(FOLDER), locations)
        _reload()


def _locations_with_jobs() -> list[str]:
    from avepoint_m365.api.connection import connect
    from avepoint_m365.constants import LOCATIONS, PRIMARY_LOCATION
    from avepoint_m365.exceptions import RefusedParametersError
    from avepoint_m365.futures import results_of

    client = connect().client
    names = [name for name in LOCATIONS if name != PRIMARY_LOCATION]

    def has_jobs(name: str) -> bool:
        try:
            return bool(client.request_page({"pageSize": "10", "location": name}).info.ids)
        except RefusedParametersError:
            return False

    with ThreadPoolExecutor(8) as pool:
        answers = results_of([pool.submit(has_jobs, name) for name in names])
    return [name for name, answer in zip(names, answers, strict=True) if answer]


def _check() -> int:
    from m365_jobs.config.tenants import selected
    from m365_jobs.health.preflight import run_preflight

    worst = 0
    for finding in run_preflight(asked=selected((), every=False)):
        typer.echo(finding.line)
        worst = max(worst, finding.exit_code)
    return worst
