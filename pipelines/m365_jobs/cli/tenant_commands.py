"""Define the commands ``tenant rename`` and ``tenant remove``: a preview, then the change with --yes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from m365_jobs.cli.options import Dataset, Destination, Verbose, failures

app = typer.Typer(help="Rename or remove a tenant everywhere.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Tenant, as in column tenant.")]
Yes = Annotated[bool, typer.Option("--yes", help="Make the change; without it, only a preview is printed.")]


@app.command()
def remove(
    tenant: Name, yes: Yes = False, destination: Destination = None, dataset: Dataset = None, verbose: Verbose = False
) -> None:
    """Delete a tenant's rows, cursors, lease and alerts.

    Example: m365-jobs tenant remove contoso --yes
    """
    with failures(verbose):
        from m365_jobs import tenant_change
        from m365_jobs.terminal import print_line

        pipeline = _pipeline(destination, dataset)
        preview = tenant_change.preview(pipeline, tenant)
        if yes:
            tenant_change.remove_tenant(pipeline, tenant, print_line)
        _print(pipeline, preview, tenant, "removed" if yes else "would be removed")
        _print_next_steps(preview, tenant, yes)


@app.command()
def rename(
    tenant: Name,
    new: Annotated[str, typer.Argument(help="New name of the tenant.")],
    yes: Yes = False,
    destination: Destination = None,
    dataset: Dataset = None,
    verbose: Verbose = False,
) -> None:
    """Give a tenant's rows, cursors, lease and alerts another name.

    Example: m365-jobs tenant rename contoso fabrikam --yes
    """
    with failures(verbose):
        from m365_jobs import tenant_change
        from m365_jobs.terminal import print_line

        pipeline = _pipeline(destination, dataset)
        preview = tenant_change.preview(pipeline, tenant)
        tenant_change.check_new_name(pipeline, tenant, new)
        if yes:
            tenant_change.rename_tenant(pipeline, tenant, new, print_line)
        _print(pipeline, preview, tenant, f"renamed to {new}" if yes else f"would be renamed to {new}")
        _print_next_steps(preview, tenant, yes)


def _pipeline(destination: str | None, dataset: str | None) -> Any:
    from m365_jobs.config.default_tenant import configured_tenant
    from m365_jobs.warehouse import pipeline as warehouse

    return warehouse.open_pipeline(configured_tenant(), destination, dataset)


def _print(pipeline: Any, preview: Any, tenant: str, change: str) -> None:
    from m365_jobs.text import format_count
    from m365_jobs.warehouse.target import address_of

    typer.echo(f"Warehouse: {address_of(pipeline)}")
    for name, count in preview.rows.items():
        typer.echo(f"  {name}: {format_count(count, 'row')} of {tenant}, {change}")
    typer.echo(f"  cursors, lease and alerts of {tenant}: {change}")


def _print_next_steps(preview: Any, tenant: str, done: bool) -> None:
    if not done:
        typer.echo("Nothing was changed. To make the change, add --yes.")
    if preview.is_configured:
        typer.echo(f"The configuration still names {tenant}: change or delete it before the next load.")
