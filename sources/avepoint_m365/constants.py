"""List the hosts and token services of the API, and the values of its parameters.

The source of all of them is the vendor's public reference. Only this module contains codes of the API; all others use
the names.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self

HOST = "https://graph-{}.avepointonlineservices.com"
FEDRAMP_HOST = "https://graphusgovapi.online15.net"

REGIONS = {
    "au": "Australia",
    "sg": "Singapore",
    "ca": "Canada Central",
    "ne": "Ireland",
    "we": "Netherlands",
    "fr": "France Central",
    "de": "Germany West Central",
    "jp": "Japan West",
    "kr": "Korea Central",
    "ch": "Switzerland North",
    "uk": "UK South",
    "us": "US East",
    "uae": "United Arab Emirates",
    "za": "South Africa North",
    "qa": "Qatar Central",
    "gov": "US Government",
    "aos2": "AOS2",
    "gcp-au": "Google Cloud, Sydney",
    "gcp-jp": "Google Cloud, Tokyo",
    "gcp-us": "Google Cloud, Moncks Corner",
    "gcp-we": "Google Cloud, Eemshaven",
    "gcp-kr": "Google Cloud, Seoul",
    "fedramp": "FedRAMP",
}
"""Data centre code to region."""

BASE_URLS = {dc: FEDRAMP_HOST if dc == "fedramp" else HOST.format(dc) for dc in REGIONS}
"""Data centre code to the root of its API."""

TOKEN_URLS = {
    "commercial": "https://identity.avepointonlineservices.com/connect/token",
    "gov": "https://identity-gov.avepointonlineservices.com/connect/token",
    "aos2": "https://identity-aos2.avepointonlineservices.com/connect/token",
    "fedramp": "https://identity.online15.net/connect/token",
}
"""Environment to the URL of its identity service, which issues access tokens."""

TRUSTED_DOMAINS = ("avepointonlineservices.com", "online15.net")
"""Domains to which credentials may be sent; any other host must be in ``trusted_hosts``."""

JOBS_SCOPE = "microsoft365backup.jobInfo.read.all"
"""The permission for jobs, in both generations of the endpoint."""


def environment_of(data_center: str) -> str:
    """Return the environment whose identity service a data centre uses."""
    return data_center if data_center in TOKEN_URLS else "commercial"


class ObjectType(IntEnum):
    """List services: their code in ``objectType`` (0 means all), Microsoft's name, and their code in ``serviceType``.

    The companions have the parameter ``serviceType``.
    """

    label: str
    service_type: int

    def __new__(cls, code: int, label: str = "", service_type: int = -1) -> Self:
        """Return a member whose value is its code, so that ``ObjectType(code)`` finds it."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.label, member.service_type = label, service_type
        return member

    exchange_online = 1, "Exchange Online", 0
    sharepoint_online = 2, "SharePoint Online", 1
    onedrive = 3, "OneDrive", 2
    microsoft_365_groups = 4, "Microsoft 365 Groups", 3
    project_online = 5, "Project Online", 4
    public_folder = 6, "Public Folder", 5
    teams = 7, "Teams", 6
    viva_engage = 8, "Viva Engage", 9
    teams_chat = 9, "Teams Chat", 10
    power_bi = 10, "Power BI", 11
    power_automate = 11, "Power Automate", 12
    power_apps = 12, "Power Apps", 14


class JobType(IntEnum):
    """List kinds of jobs, with the codes of the ``jobType`` parameter (0 means all)."""

    backup = 1
    restore = 2
    export = 3
    deletion = 4
    retention = 5


PRIMARY_LOCATION = "PrimaryGeoLocation"
"""The tenant's central location, presumably an alias of one of the others."""

LABELS = ("location", "object_type", "job_type")
"""The dimensions in which jobs are classified, as the columns of ``jobs``; no response contains them."""

LOCATIONS = (
    PRIMARY_LOCATION,
    *("NAM", "EUR", "GBR", "JPN", "APC", "AUS", "CAN", "IND", "FRA", "ARE", "ZAF", "CHE", "KOR"),
    *("DEU", "BRA", "NOR", "SWE", "QAT", "POL", "ITA"),
    *("ISR", "MEX", "NZL", "ESP", "TWN"),  # since April 2026
)
"""Values of the ``location`` parameter, for Multi-Geo tenants."""

MAX_PAGE_MB = 128
"""The default of ``max_page_mb``, in megabytes; parsing a page needs about five times its size."""
