"""Register the generations of the jobs endpoint: path, names of fields and parameters, and paging.

A further generation is one ``EndpointVersion`` and one call of ``register``; no other module names a generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

Params = dict[str, str]
"""Query parameters by the names of the vendor's table (``startTime``, ``pageIndex``), for any generation."""

CURSOR = "cursor"
"""The parameter for an opaque token of the next page, for generations that send one."""


class ParameterSpelling(StrEnum):
    """List the spellings of query parameters; the vendor's table and its samples differ."""

    camel = "camel"
    pascal = "pascal"

    def apply(self, name: str) -> str:
        """Return a parameter's name in this spelling."""
        return name[:1].upper() + name[1:] if self is ParameterSpelling.pascal else name


class EndpointVersion(NamedTuple):
    """Describe one generation of the jobs endpoint."""

    name: str
    """The value of the setting ``endpoint`` and of ``load_audit.endpoint``."""
    path: str
    rows: tuple[str, ...]
    """Names of the list of jobs, by precedence."""
    paging: tuple[str, ...] = ()
    """Names of the object that contains total and link; if a body has none of them, it contains both itself."""
    totals: tuple[str, ...] = ("totalNumber", "totalCount")
    links: tuple[str, ...] = ("nextLink",)
    cursors: tuple[str, ...] = ()
    """Names of an opaque token of the next page, which is sent back as the parameter ``CURSOR``."""
    parameters: Mapping[str, str] = MappingProxyType({})
    """This generation's names of parameters, by those of the vendor's table, where they differ."""
    job_path: str | None = None
    """The path of a single job, with ``{job_id}`` in place of the id; None without such a path."""

    def query(self, params: Mapping[str, str], spelling: ParameterSpelling) -> Params:
        """Return parameters with the names of this generation; unknown ones, from a link, keep their name."""
        return {
            self.parameters.get(name) or (spelling.apply(name) if name in PARAMETERS else name): value
            for name, value in params.items()
        }

    def parameter(self, name: str) -> str | None:
        """Return the name in the vendor's table of a parameter, from the server's name; None if it is unknown."""
        own = {theirs.lower(): ours for ours, theirs in self.parameters.items()}
        return own.get(name.lower()) or _BY_LOWER.get(name.lower())

    def link(self, link: str | None, cursor: str | None) -> str | None:
        """Return the reference to the next page as a link whose parameters have the names of the vendor's table.

        A cursor precedes a link. A link without a query, such as an opaque token, stays unchanged. The
        result is "" if there is no next page, and None if the response does not say.
        """
        if cursor:
            return "?" + urlencode({CURSOR: cursor})
        if cursor == "" and not link:
            return ""
        own = {theirs.lower(): ours for ours, theirs in self.parameters.items()}
        if not link or not own:
            return link
        try:
            pairs = parse_qsl(urlsplit(link).query)
        except ValueError:
            return link
        return "?" + urlencode([(own.get(name.lower(), name), value) for name, value in pairs]) if pairs else link

    def path_of_job(self, job_id: str) -> str | None:
        """Return the path of a single job; None if this generation has none."""
        return self.job_path.format(job_id=quote(job_id, safe="")) if self.job_path else None


PARAMETERS = (
    *("startTime", "finishTime", "jobType", "objectType", "jobState", "location", "pageIndex", "pageSize"),
    CURSOR,
)
_BY_LOWER = {name.lower(): name for name in PARAMETERS}

JOBS = EndpointVersion("jobs", "/backup/m365/jobs", rows=("jobs", "data"), paging=("metadata",))
CLOUD_BACKUP_JOBS = EndpointVersion(
    "cloudbackupjobs",
    "/backup/m365/cloudbackupjobs",
    rows=("data", "jobs"),
    paging=("metadata",),
    job_path="/backup/m365/cloudbackupjobs/{job_id}",
)


def link_parameters(link: str | None) -> Params:
    """Return the query of a nextLink of any host and path; empty for an opaque link without a query."""
    if not link:
        return {}
    try:
        # A link may be escaped as for HTML; its parameters would get other names.
        return dict(parse_qsl(urlsplit(link.replace("&amp;", "&")).query))
    except ValueError:
        return {}


_versions: dict[str, EndpointVersion] = {}


def register(version: EndpointVersion) -> None:
    """Add a generation; ``auto`` tries it after those that were added before."""
    _versions[version.name] = version


def unregister(name: str) -> None:
    """Remove a generation."""
    _versions.pop(name, None)


def versions() -> tuple[EndpointVersion, ...]:
    """Return all generations, in the order in which ``auto`` tries them."""
    return tuple(_versions.values())


register(JOBS)
register(CLOUD_BACKUP_JOBS)
