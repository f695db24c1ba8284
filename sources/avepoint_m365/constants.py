"""List what the API offers: hosts, token services, and the values of its parameters.

All facts are the vendor's public reference. API codes live here and nowhere else; the rest of the project
speaks in the names.
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
"""Environment to the address that hands out access tokens."""

TRUSTED_DOMAINS = ("avepointonlineservices.com", "online15.net")
"""Domains that credentials may be sent to; everything else must be in ``trusted_hosts``."""

JOBS_SCOPE = "microsoft365backup.jobInfo.read.all"
"""The one permission that both generations of the jobs endpoint need."""


def environment_of(data_center: str) -> str:
    """Return the environment whose identity service a data centre uses."""
    return data_center if data_center in TOKEN_URLS else "commercial"


class ObjectType(IntEnum):
    """List services: the code of the ``objectType`` parameter (0 means all), Microsoft's name, the companions' code."""

    label: str
    service_type: int

    def __new__(cls, code: int, label: str = "", service_type: int = -1) -> Self:
        """Return a member that is its code; ``ObjectType(code)`` is the existing one."""
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

LOCATIONS = (
    PRIMARY_LOCATION,
    *("NAM", "EUR", "GBR", "JPN", "APC", "AUS", "CAN", "IND", "FRA", "ARE", "ZAF", "CHE", "KOR"),
    *("DEU", "BRA", "NOR", "SWE", "QAT", "POL", "ITA"),
    *("ISR", "MEX", "NZL", "ESP", "TWN"),  # since April 2026
)
"""Values of the ``location`` parameter, for Multi-Geo tenants."""

MAX_PAGE_MB = 128
"""Megabytes of a page at most: parsing one needs some five times its size."""
