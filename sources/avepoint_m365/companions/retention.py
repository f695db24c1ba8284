"""Read the retention policy: how long backups are kept, by default, per service, per container, and once unassigned."""

from __future__ import annotations

from collections.abc import Mapping

from avepoint_m365.companions.base import (
    PERMISSION,
    Answers,
    Ask,
    Companion,
    Memory,
    Row,
    content_id,
    object_of,
    rows_of,
    scope_of,
)
from avepoint_m365.companions.columns import (
    LOCATION,
    OBJECT_TYPE,
    SERVICE,
    SERVICE_TYPE,
    SETTING_SCOPE,
    VALID_FROM,
    VALID_TO,
)
from avepoint_m365.companions.service_types import Service
from avepoint_m365.companions.values import parse_period, to_text
from avepoint_m365.exceptions import BadResponseError
from avepoint_m365.parse.names import field_of
from avepoint_m365.parse.values import parse_flag
from avepoint_m365.schema import TENANT, Table, count, flag, required, text

FIELDS = ("enableDailyRetentionPolicy", "enableCustomizedRetentionPolicy", "retentionPeriod", "servicePolicies")
"""The documented fields of a response."""

SERVICE_FIELDS = ("serviceType", "retentionPeriod")
OPTIONAL_SERVICE_FIELDS = ("unassignedObjectRetentionPeriod", "containerPolicies")
CONTAINER_FIELDS = ("containerId", "retentionPeriod")

NO_SERVICE = Service(None, "", None)

RETENTION_POLICIES = Table(
    "retention_policies",
    "How long backups are kept (GET /backup/m365/settings/retention-policy), with every earlier version: a row per "
    "level, service and container. Without a location, the policy of the central location only.",
    ("tenant", "id", "valid_from"),
    (
        required(TENANT),
        required(text("id", "Stands for the content: the same policy has the same id again.")),
        LOCATION,
        SETTING_SCOPE,
        text("level", "default, service, container, or unassigned (objects that no container holds any more)."),
        SERVICE_TYPE,
        SERVICE,
        OBJECT_TYPE,
        text("container_id", "Container, at level container."),
        text("container_name", "Its name."),
        text("retention_period", "How long, in the vendor's words, such as 1 years or Unlimited."),
        count(
            "retention_days",
            "The same in days: a year has 365, a month a twelfth of them; null for Unlimited and for unknown words.",
            "days",
        ),
        flag("daily_retention_enabled", "Whether daily retention is on; at level default only."),
        flag("custom_retention_enabled", "Whether policies of single services are on; at level default only."),
        VALID_FROM,
        VALID_TO,
    ),
    merge_key=("setting_scope",),
)


class Retention(Companion):
    """Read the retention policy; that of the central location if none is given."""

    name = "retention"
    scope = PERMISSION + "settings.read.all"
    paths = ("/backup/m365/settings/retention-policy",)
    tables = (RETENTION_POLICIES,)

    def read(self, ask: Ask, location: str | None, memory: Memory, answers: Answers) -> None:
        """Add the policy of one location.

        Raises:
            BadResponseError: if policies of services are switched on, but missing.
        """
        policy = object_of(ask(location), self.paths[0], FIELDS)
        answers.note_renamed(policy, FIELDS[:-1], FIELDS[-1:])
        make = _Rows(ask.context.tenant, location, answers)
        switches = ask.of(lambda: _switches(policy), "the retention policy")
        services = field_of(policy, "servicePolicies")
        if services is None and switches["custom_retention_enabled"]:
            # Without them, each policy of a service would count as switched off.
            raise BadResponseError(f"GET {self.paths[0]}: the response contains no servicePolicies.")
        make.add("default", NO_SERVICE, field_of(policy, "retentionPeriod"), **switches)
        for item in rows_of(services, self.paths[0]):
            answers.note_renamed(item, SERVICE_FIELDS, OPTIONAL_SERVICE_FIELDS)
            service = answers.service(field_of(item, "serviceType"))
            make.add("service", service, field_of(item, "retentionPeriod"))
            unassigned = field_of(item, "unassignedObjectRetentionPeriod")
            if unassigned not in (None, ""):
                make.add("unassigned", service, unassigned)
            for container in rows_of(field_of(item, "containerPolicies"), self.paths[0]):
                answers.note_renamed(container, CONTAINER_FIELDS, ("containerName",))
                make.container(service, container)


class _Rows:
    """Make the rows of one location."""

    def __init__(self, tenant: str, location: str | None, answers: Answers) -> None:
        self._tenant, self._location, self._answers = tenant, location, answers

    def container(self, service: Service, container: Mapping[str, object]) -> None:
        """Add the row of a container."""
        identity = {
            "container_id": to_text(field_of(container, "containerId")),
            "container_name": to_text(field_of(container, "containerName")),
        }
        self.add("container", service, field_of(container, "retentionPeriod"), **identity)

    def add(self, level: str, service: Service, period: object, **more: object) -> None:
        """Add a row; a period in no form that is known is kept as text and noted."""
        row: Row = {
            "tenant": self._tenant,
            "location": self._location,
            "setting_scope": scope_of(self._tenant, self._location),
            "level": level,
            **service.columns,
            "service": service.service or None,
            "container_id": None,
            "container_name": None,
            "retention_period": to_text(period),
            "retention_days": self._days(period),
            "daily_retention_enabled": None,
            "custom_retention_enabled": None,
            **more,
        }
        # Without the tenant, which may be renamed.
        content = [value for name, value in row.items() if name not in ("tenant", "setting_scope")]
        self._answers.add_once(RETENTION_POLICIES.name, {**row, "id": content_id(*content)})

    def _days(self, period: object) -> int | None:
        if period is None or period == "":
            return None
        problem = "a retention period in a form that is not known"
        return self._answers.parsed(parse_period, period, "unknown_retention_period", problem, str(period))


def _switches(policy: Mapping[str, object]) -> Row:
    return {
        "daily_retention_enabled": parse_flag(field_of(policy, "enableDailyRetentionPolicy")),
        "custom_retention_enabled": parse_flag(field_of(policy, "enableCustomizedRetentionPolicy")),
    }
