# /// script
# [tool.marimo.display]
# theme = "light"
# ///
"""The dashboard's page. Each cell is a part of it and runs again when a filter it uses, or the warehouse, changes."""

import marimo

app = marimo.App(width="full", app_title="Microsoft 365 backup")


@app.cell
def _():
    from dataclasses import replace
    from datetime import UTC, datetime

    import marimo as mo

    from m365_jobs.charts import drawing, figures, html, words
    from m365_jobs.dashboard import live
    from m365_jobs.dashboard.live import Unavailable

    warehouse = live()
    return UTC, Unavailable, datetime, drawing, figures, html, mo, replace, warehouse, words


@app.cell
def _(mo):
    refresh = mo.ui.refresh(options=["10s", "1m", "5m"], default_interval="10s", label="Look for new loads every")
    get_version, set_version = mo.state(None)
    get_choices, set_choices = mo.state(None)
    return get_choices, get_version, refresh, set_choices, set_version


@app.cell
def _(Unavailable, figures, get_version, html, mo, set_version, warehouse):
    missing = []

    def ask(tenants, figure, *arguments):
        """Figures of the version that is shown."""
        return warehouse.ask(get_version(), tenants, figure, *arguments)

    def part(title, build):
        """A section of the page; ``build`` gives its HTML. Where that fails, it is built again with the next look."""
        mo.stop(get_version() is None)
        try:
            return mo.Html(html.section(title, build()))
        except Unavailable as error:
            missing.append(title)
            return mo.Html(html.section(title, html.note(str(error))))

    def look(offered, set_choices):
        """Takes notice of a new version, and says what keeps it from being read."""
        found = warehouse.version()
        if found.trouble:
            return found.trouble
        if found != get_version() or missing:
            try:
                choices = warehouse.ask(found, warehouse.chosen.tenants, figures.choices)
            except Unavailable as error:
                return str(error)
            missing.clear()
            set_version(found)
            if choices != offered:
                set_choices(choices)
        return ""

    return ask, look, part


@app.cell
def _(get_choices, html, look, mo, refresh, set_choices):
    # Parts are built again only if another load is there, so that nobody loses what they have opened.
    refresh.value
    _trouble = look(get_choices(), set_choices)
    _notes = html.note(_trouble) if _trouble else ""
    # The clock ticks only while it is shown, and is needed most while there is nothing else to show.
    mo.vstack([mo.Html(f'<div class="m365"><h1>Microsoft 365 backup</h1>{_notes}</div>'), refresh])
    return


@app.cell
def _(get_choices, mo, words):
    mo.stop((_choices := get_choices()) is None)

    def choice(label, every, names, say):
        return mo.ui.dropdown({every: None} | {say(name): name for name in names}, every, label=label)

    tenant = choice("Tenant", "All tenants", _choices.tenants, str)
    location = choice("Location", "Everywhere", _choices.locations, words.location)
    service = choice("Service", "All services", _choices.object_types, words.service)
    days = mo.ui.dropdown({"7 days": 7, "30 days": 30, "90 days": 90, "A year": 365}, "30 days", label="Trends, errors")
    # A filter with nothing to choose from is left out.
    filters = [one for one in (tenant, location, service) if len(one.options) > 2] + [days]
    return days, filters, location, service, tenant


@app.cell
def _(ask, days, figures, location, replace, service, tenant, warehouse):
    # Two, since what does not look back so far need not be read again when that changes.
    standing = replace(
        warehouse.chosen,
        tenants=(tenant.value,) if tenant.value else warehouse.chosen.tenants,
        location=location.value,
        object_type=service.value,
    )
    chosen = replace(standing, days=days.value)

    def of(figure, *arguments):
        """Figures of the tenants that are chosen."""
        return ask(standing.tenants, figure, *arguments)

    def until():
        """Everything is counted back from here."""
        return of(figures.as_of)

    return chosen, of, standing, until


@app.cell
def _(UTC, of, datetime, figures, filters, html, mo, part, refresh, standing, until):
    mo.vstack(
        [
            mo.hstack(filters, wrap=True, justify="start", align="end", gap=1),
            part("", lambda: html.standing(until(), of(figures.loads), datetime.now(UTC), UTC)),
        ]
    )
    return


@app.cell
def _(UTC, of, datetime, figures, html, part, standing):
    def _build():
        rows = html.judged(of(figures.protection, standing), datetime.now(UTC))
        return html.protection(rows, of(figures.loads), UTC)

    part("Protection now", _build)
    return


@app.cell
def _(UTC, of, figures, html, part, standing, until):
    part(
        "Last night",
        lambda: html.night(
            of(figures.last_night, standing, until()), of(figures.failed_last_night, standing, until()), until(), UTC
        ),
    )
    return


@app.cell
def _(of, figures, html, part, chosen, until):
    part(f"Trends, last {chosen.days} days", lambda: html.trends(of(figures.trend, chosen, until()), chosen))
    return


@app.cell
def _(of, figures, html, part, standing, until):
    part(
        "Duration against its own history",
        lambda: html.durations(of(figures.durations, standing, until())),
    )
    return


@app.cell
def _(of, drawing, figures, html, part, chosen, until):
    def _build():
        rows = of(figures.errors, chosen, until())
        if not rows:
            return html.nothing("No job had an error.")
        return html.charts(html.figure(drawing.errors(rows))) + html.nothing("Choose an error below to see its jobs.")

    part(f"Top errors, last {chosen.days} days", _build)
    return


@app.cell
def _(UTC, Unavailable, of, figures, mo, chosen, until, words):
    try:
        found = of(figures.errors, chosen, until())
    except Unavailable:
        found = []
    mo.stop(not found)
    errors = mo.ui.table(
        [
            {
                "Service": words.service(row["object_type"]),
                "Error": row["error_message"] or "no message",
                "Occurrences": row["occurrences"],
                "Jobs": row["jobs"],
                "Last seen": words.moment(row["last_seen"], UTC),
            }
            for row in found
        ],
        selection="single",
        page_size=10,
        show_download=False,
        show_column_summaries=False,
        show_data_types=False,
        wrapped_columns=["Error"],
    )
    errors
    return errors, found


@app.cell
def _(UTC, of, errors, figures, found, html, mo, part, chosen, until, words):
    mo.stop(not errors.value)
    (_chosen,) = errors.value
    _row = next(
        row
        for row in found
        if words.service(row["object_type"]) == _chosen["Service"]
        and (row["error_message"] or "no message") == _chosen["Error"]
    )

    def _build():
        jobs = of(figures.jobs_of_error, chosen, until(), _row["object_type"], _row["error_message"])
        first = f", the newest {len(jobs)}" if len(jobs) < _row["jobs"] else ""
        return html.jobs_of_error(_row, f"{words.count(_row['jobs'], 'job', 'jobs')}{first}", jobs, UTC)

    part("", _build)
    return


@app.cell
def _(UTC, of, figures, html, part, standing):
    part("Open jobs", lambda: html.open_jobs(of(figures.open_jobs, standing), UTC))
    return


@app.cell
def _(UTC, of, datetime, figures, html, part, standing):
    part(
        "Freshness of this data",
        lambda: html.freshness(of(figures.loads), of(figures.completeness, standing), datetime.now(UTC), UTC),
    )
    return


if __name__ == "__main__":
    app.run()
