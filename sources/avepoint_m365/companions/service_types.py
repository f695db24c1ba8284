"""Define the ``serviceType`` of the companion endpoints, which differs from the ``objectType`` of jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import NamedTuple

from avepoint_m365.constants import ObjectType
from avepoint_m365.text import storable


class Service(NamedTuple):
    """Describe a service as the companions name it, with its counterpart among the object types, if any."""

    service_type: int | None
    service: str
    object_type: str | None

    @property
    def columns(self) -> dict[str, object]:
        """Return the columns that every row about a service has."""
        return {"service_type": self.service_type, "service": self.service, "object_type": self.object_type}


_NAMES = {ObjectType.viva_engage: "Yammer Group", ObjectType.teams_chat: "Personal Chat"}
"""What the companions call services that were renamed."""

# Jobs of these three are not told apart from those of Public Folder and Teams.
_OTHERS = {7: "Public Folder Metadata", 8: "Private Channel", 13: "Shared Channel"}

SERVICES = tuple(
    sorted(
        [
            *(Service(kind.service_type, _NAMES.get(kind, kind.label), kind.name) for kind in ObjectType),
            *(Service(code, name, None) for code, name in _OTHERS.items()),
        ],
        key=attrgetter("service_type"),
    )
)
"""All documented service types, in the order of their codes."""


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


_BY_CODE: Mapping[int | None, Service] = {service.service_type: service for service in SERVICES}
_BY_NAME = {_letters(service.service): service for service in SERVICES} | {
    # The vendor writes today's names as well.
    **{_letters(kind.label): _BY_CODE[kind.service_type] for kind in _NAMES},
    "groups": SERVICES[3],
    "office365groups": SERVICES[3],
    "sharepoint": SERVICES[1],
    "exchange": SERVICES[0],
}


def service_of(value: object) -> Service:
    """Return the service of a code or name; an unknown value is kept, without an object type. Null has no name."""
    text = "" if value is None else storable(str(value)).strip()[:200]
    if text.isascii() and text.isdigit():
        code = int(text)
        return _BY_CODE.get(code, Service(code if code < 2**63 else None, text, None))
    return _BY_NAME.get(_letters(text), Service(None, text, None))


def is_known_service(service: Service) -> bool:
    """Return whether the vendor's reference names the service."""
    return service in SERVICES


def service_rows() -> Iterator[dict[str, object]]:
    """Yield the rows of ``service_types``."""
    for service in SERVICES:
        yield service.columns
