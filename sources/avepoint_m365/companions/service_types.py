"""Define the ``serviceType`` of the companion endpoints, which differs from the ``objectType`` of jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from avepoint_m365.exceptions import storable
from avepoint_m365.settings import ObjectType


@dataclass(frozen=True)
class Service:
    """Describe a service as the companions name it, with its counterpart among the object types, if any."""

    service_type: int | None
    service: str
    object_type: str | None

    @property
    def columns(self) -> dict[str, Any]:
        """Return the columns that every row about a service has."""
        return {"service_type": self.service_type, "service": self.service, "object_type": self.object_type}


SERVICES = (
    Service(0, "Exchange Online", ObjectType.exchange_online.name),
    Service(1, "SharePoint Online", ObjectType.sharepoint_online.name),
    Service(2, "OneDrive", ObjectType.onedrive.name),
    Service(3, "Microsoft 365 Groups", ObjectType.microsoft_365_groups.name),
    Service(4, "Project Online", ObjectType.project_online.name),
    Service(5, "Public Folder", ObjectType.public_folder.name),
    Service(6, "Teams", ObjectType.teams.name),
    # Jobs of these three are not told apart from those of Public Folder and Teams.
    Service(7, "Public Folder Metadata", None),
    Service(8, "Private Channel", None),
    Service(9, "Yammer Group", ObjectType.viva_engage.name),
    Service(10, "Personal Chat", ObjectType.teams_chat.name),
    Service(11, "Power BI", ObjectType.power_bi.name),
    Service(12, "Power Automate", ObjectType.power_automate.name),
    Service(13, "Shared Channel", None),
    Service(14, "Power Apps", ObjectType.power_apps.name),
)
"""All documented service types, in the order of their codes."""


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


_BY_CODE: Mapping[int | None, Service] = {service.service_type: service for service in SERVICES}
_BY_NAME = {_letters(service.service): service for service in SERVICES} | {
    # What the vendor calls these services since they were renamed.
    "vivaengage": SERVICES[9],
    "teamschat": SERVICES[10],
    "groups": SERVICES[3],
    "office365groups": SERVICES[3],
    "sharepoint": SERVICES[1],
    "exchange": SERVICES[0],
}


def service_of(value: object) -> Service:
    """Return the service of a code or name; an unknown value is kept, without an object type."""
    text = storable(str(value)).strip()[:200]
    if text.isascii() and text.isdigit():
        code = int(text)
        return _BY_CODE.get(code, Service(code if code < 2**63 else None, text, None))
    return _BY_NAME.get(_letters(text), Service(None, text, None))


def is_known_service(service: Service) -> bool:
    """Return whether the vendor's reference names the service."""
    return service in SERVICES


def service_rows() -> Iterator[dict[str, Any]]:
    """Yield the rows of ``service_types``."""
    for service in SERVICES:
        yield service.columns
