# /// script
# [tool.marimo.display]
# theme = "light"
# ///
"""The dashboard's page. Each cell is a part of it and runs again when a filter it uses, or the warehouse, changes."""

import marimo

app = marimo.App(width="full", app_title="Microsoft 365 backup", css_file="app.css")


@app.cell
def _():
    from dataclasses import replace
    from datetime import UTC

    import marimo as mo

    from m365_jobs.reports import html, labels
    from m365_jobs.reports.dashboard import live, parts
    from m365_jobs.reports.dashboard.live import Unavailable

    warehouse = live()
    return UTC, Unavailable, html, mo, parts, replace, warehouse, labels


@app.cell
def _(mo):
    refresh = mo.ui.refresh(options=["10s", "1m", "5m"], default_interval="10s", label="Look for new loads every")
    get_version, set_version = mo.state(None)
    get_choices, set_choices = mo.state(None)
    return get_choices, get_version, refresh, set_choices, set_version


@app.cell
def _(Unavailable, get_version, html, mo, parts, set_version, warehouse):
    missing = []

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
                choices = parts.View(warehouse, found, warehouse.chosen).choices()
            except Unavailable as error:
                return str(error)
            missing.clear()
            set_version(found)
            if choices != offered:
                set_choices(choices)
        return ""

    return look, part


@app.cell
def _(get_choices, html, look, mo, parts, refresh, set_choices):
    # Parts are built again only if another load is there, so that nobody loses what they have opened.
    refresh.value
    _trouble = look(get_choices(), set_choices)
    _notes = html.note(_trouble) if _trouble else ""
    # The clock ticks only while it is shown, and is needed most while there is nothing else to show.
    mo.vstack([mo.Html(f'<div class="m365">{html.title(parts.TITLE)}{_notes}</div>'), refresh])
    return


@app.cell
def _(get_choices, mo, labels):
    mo.stop((_choices := get_choices()) is None)

    def choice(label, every, names, say):
        return mo.ui.dropdown({every: None} | {say(name): name for name in names}, every, label=label)

    tenant = choice("Tenant", "All tenants", _choices.tenants, str)
    location = choice("Location", "Everywhere", _choices.locations, labels.location)
    service = choice("Service", "All services", _choices.object_types, labels.service)
    days = mo.ui.dropdown({"7 days": 7, "30 days": 30, "90 days": 90, "A year": 365}, "30 days", label="Trends, errors")
    # A filter with nothing to choose from is left out.
    filters = [one for one in (tenant, location, service) if len(one.options) > 2] + [days]
    return days, filters, location, service, tenant


@app.cell
def _(get_version, location, parts, replace, service, tenant, warehouse):
    # Two, since what does not look back so far need not be built again when that changes.
    now = parts.View(
        warehouse,
        get_version(),
        replace(
            warehouse.chosen,
            tenants=(tenant.value,) if tenant.value else warehouse.chosen.tenants,
            location=location.value,
            object_type=service.value,
        ),
    )
    return (now,)


@app.cell
def _(days, now, replace):
    lately = replace(now, chosen=replace(now.chosen, days=days.value))
    return (lately,)


@app.cell
def _(filters, mo):
    mo.hstack(filters, wrap=True, justify="start", align="end", gap=1)
    return


@app.cell
def _(now, part, parts, refresh):
    # Again with each look, as is the next: when loads stop, the data grows old without another version.
    refresh.value
    part("", lambda: parts.standing(now))
    return


@app.cell
def _(now, part, parts, refresh):
    refresh.value
    part(parts.PROTECTION, lambda: parts.protection(now))
    return


@app.cell
def _(now, part, parts):
    part(parts.LAST_NIGHT, lambda: parts.night(now))
    return


@app.cell
def _(lately, part, parts):
    part(f"Trends, last {lately.chosen.days} days", lambda: parts.trends(lately))
    return


@app.cell
def _(now, part, parts):
    part(parts.DURATIONS, lambda: parts.durations(now))
    return


@app.cell
def _(lately, part, parts):
    part(f"Top errors, last {lately.chosen.days} days", lambda: parts.errors(lately))
    return


@app.cell
def _(UTC, Unavailable, lately, mo, parts, labels):
    try:
        found = parts.top_errors(lately)
    except Unavailable:
        found = []
    mo.stop(not found)
    errors = mo.ui.table(
        [
            {
                "Service": labels.service(row["object_type"]),
                "Error": row["error_message"] or "no message",
                "Occurrences": row["occurrences"],
                "Jobs": row["jobs"],
                "Last seen": labels.moment(row["last_seen"], UTC),
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
def _(UTC, errors, found, html, lately, mo, part, parts, labels):
    mo.stop(not errors.value)
    (_chosen,) = errors.value
    _row = next(
        row
        for row in found
        if labels.service(row["object_type"]) == _chosen["Service"]
        and (row["error_message"] or "no message") == _chosen["Error"]
    )

    def _build():
        jobs = parts.jobs_of_error(lately, _row)
        first = f", the newest {len(jobs)}" if len(jobs) < _row["jobs"] else ""
        return html.jobs_of_error(_row, f"{labels.count(_row['jobs'], 'job', 'jobs')}{first}", jobs, UTC)

    part("", _build)
    return


@app.cell
def _(now, part, parts):
    part(parts.OPEN_JOBS, lambda: parts.open_jobs(now))
    return


@app.cell
def _(now, part, parts):
    part(parts.FRESHNESS, lambda: parts.freshness(now))
    return


if __name__ == "__main__":
    app.run()
