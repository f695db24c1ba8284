"""Show the worked questions of docs/warehouse.md in an analyst's notebook, ready to be changed.

``marimo edit`` on a copy of this file, with the folder of the warehouse as the working directory: see
docs/how-to/dashboard-and-reports.md.
"""

import marimo

app = marimo.App(width="medium", app_title="Questions to the warehouse")


@app.cell
def _():
    import marimo as mo

    from m365_jobs.marts.catalog import questions
    from m365_jobs.warehouse.target import open_warehouse
    from m365_jobs.warehouse.tenant_scope import open_scope

    pipeline = open_warehouse()

    def ask(sql):
        """Return the rows of a query in DuckDB's dialect, with bare names of tables and views."""
        with open_scope(pipeline) as scope:
            return scope.rows(sql)

    return ask, mo, questions


@app.cell
def _(mo):
    mo.md("""
    # Questions to the warehouse

    Tables and views are described in docs/warehouse.md; times are UTC. Choose a question, change its SQL, and see
    the answer below. The warehouse is opened for reading only, and only while a query runs.
    """)
    return


@app.cell
def _(mo, questions):
    question = mo.ui.dropdown(
        {worked.question: worked for worked in questions()}, questions()[0].question, label="Question"
    )
    question
    return (question,)


@app.cell
def _(mo, question):
    sql = mo.ui.code_editor(question.value.sql, language="sql", label=question.value.note, debounce=True)
    sql
    return (sql,)


@app.cell
def _(ask, mo, sql):
    mo.ui.table(ask(sql.value), selection=None)
    return


@app.cell
def _(ask, mo):
    _days = ask(
        "SELECT day, sum(jobs) AS jobs, sum(failed_jobs) AS failed_jobs FROM daily_summary GROUP BY day "
        "ORDER BY day DESC"
    )
    mo.vstack([mo.md("Jobs, and those that failed, by UTC day."), mo.ui.table(_days, selection=None)])
    return


if __name__ == "__main__":
    app.run()
