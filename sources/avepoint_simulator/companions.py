"""Answer the companion endpoints of a simulated tenant: licence, unusual activity, schedule and retention over time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from avepoint_simulator.parameters import RefusedParameterError
from avepoint_simulator.tenant import EXCEPTION, FAILED, FINISHED, SimulatedJob, World

PERMISSION = "microsoft365backup."

LICENSES = "/backup/m365/cloudbackuplicenseconsumption"
LICENSES_1 = "/backup/m365/licenseconsumption"
ACTIVITY = "/backup/m365/cloudbackupunusualactivitydata"
ACTIVITY_1 = "/backup/m365/unusualactivitydata"
FREQUENCY = "/backup/m365/settings/backup/frequency"
RETENTION = "/backup/m365/settings/retention-policy"

PATHS = {
    LICENSES: PERMISSION + "subscriptionInfo.read.all",
    LICENSES_1: PERMISSION + "subscriptionInfo.read.all",
    ACTIVITY: PERMISSION + "unusualActivity.read.all",
    ACTIVITY_1: PERMISSION + "unusualActivity.read.all",
    FREQUENCY: PERMISSION + "settings.read.all",
    RETENTION: PERMISSION + "settings.read.all",
}
"""Path to the permission that it needs."""

FIRST_GENERATION = (LICENSES_1, ACTIVITY_1)

OBJECT_TYPE_OF = {0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 9: 8, 10: 9, 11: 10, 12: 11, 14: 12}
"""serviceType to objectType, for those that have a counterpart."""

TIME_FORMS = ("iso", "seconds", "milliseconds", "clock")


@dataclass(frozen=True)
class ServiceSchedule:
    """Describe when a service is backed up each day, in UTC."""

    service_type: int
    start_times: tuple[time, ...]


@dataclass
class Companions:
    """Hold the answers of the companion endpoints of one tenant.

    Lists hold what is in force from a time on, oldest first.
    """

    licenses: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    schedules: list[tuple[datetime, tuple[ServiceSchedule, ...]]] = field(default_factory=list)
    retention: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    activity: dict[tuple[date, int], tuple[int, int]] = field(default_factory=dict)
    """UTC day and serviceType to potential ransomware attacks and unusual activities."""
    of_location: dict[str, Companions] = field(default_factory=dict)
    """Settings of locations beside the central one."""
    generations: tuple[int, ...] = (1, 2)
    time_form: str = "iso"
    nested: bool = False
    """Whether data sits in ``data.data`` for every endpoint."""
    service_names: bool = False
    """Whether services are written as texts of digits instead of numbers."""

    def __post_init__(self) -> None:
        if self.time_form not in TIME_FORMS:
            raise ValueError(f"{self.time_form!r} is not one of {', '.join(TIME_FORMS)}")

    def serves(self, path: str) -> bool:
        """Return whether the host has the path."""
        return path in PATHS and (1 if path in FIRST_GENERATION else 2) in self.generations

    def data(self, path: str, params: Mapping[str, str], now: datetime) -> Any:
        """Return what an endpoint says at ``now``; ``params`` have names in lower case.

        Raises:
            RefusedParameterError: for a parameter that is missing or invalid.
        """
        place = self.of_location.get(params.get("location", ""), self)
        if path in (ACTIVITY, ACTIVITY_1):
            return {"data": self._activity(params, first_generation=path == ACTIVITY_1)}
        if path in (LICENSES, LICENSES_1):
            data: Any = in_force(place.licenses, now) or {}
        elif path == FREQUENCY:
            data = [self._frequency(schedule, now) for schedule in in_force(place.schedules, now) or ()]
        else:
            data = in_force(place.retention, now) or {}
        return {"data": data} if self.nested else data

    def _activity(self, params: Mapping[str, str], first_generation: bool) -> list[dict[str, Any]]:
        end_name = "endtime" if first_generation else "finishtime"
        bounds = []
        for name in ("starttime", end_name):
            try:
                bounds.append(datetime.fromisoformat(params[name]).date())
            except (KeyError, ValueError):
                raise RefusedParameterError(name, f"The parameter {name} is missing or invalid.") from None
        counts: dict[int, list[int]] = {}
        for (day, service_type), (attacks, activities) in self.activity.items():
            if bounds[0] <= day < max(bounds[1], bounds[0] + timedelta(days=1)):
                total = counts.setdefault(service_type, [0, 0])
                total[0] += attacks
                total[1] += activities
        return [
            {
                "tenantOwner": "owner@tenant.example",
                "tenantId": "00000000-0000-0000-0000-000000000001",
                "serviceType": self._service(service_type),
                "potentialRansomwareAttackCount": attacks,
                "unusualActivitiesCount": activities,
            }
            for service_type, (attacks, activities) in sorted(counts.items())
        ]

    def _frequency(self, schedule: ServiceSchedule, now: datetime) -> dict[str, Any]:
        return {
            "serviceType": self._service(schedule.service_type),
            "frequency": len(schedule.start_times),
            "backupStartTime": [self._start(start, now) for start in schedule.start_times],
        }

    def _service(self, service_type: int) -> Any:
        return str(service_type) if self.service_names else service_type

    def _start(self, start: time, now: datetime) -> Any:
        """Return a start time as a time stamp of the current day, in the form that this API uses."""
        moment = datetime.combine(now.date(), start, UTC)
        if self.time_form == "clock":
            return f"{(start.hour % 12) or 12}:{start.minute:02} {'PM' if start.hour >= 12 else 'AM'}"
        if self.time_form == "iso":
            return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        return int(moment.timestamp()) * (1000 if self.time_form == "milliseconds" else 1)


def in_force(values: Sequence[tuple[datetime, Any]], now: datetime) -> Any:
    """Return the newest value that holds at ``now``; None before the first."""
    return next((value for since, value in reversed(values) if since <= now), None)


def license_of(
    purchased: int = 500, assigned: int = 400, storage: float = 2048, size: float = 1000, out_of_policy: int = 0
) -> dict[str, Any]:
    """Return the data of licence consumption, in the vendor's names."""
    return {
        "outOfPolicyTime": out_of_policy,
        "purchasedUserSeats": purchased,
        "assignedUserSeats": assigned,
        "purchasedStorageSize": storage,
        "protectedSize": size,
    }


def retention_of(default: str = "1 years", services: Mapping[int, str] | None = None) -> dict[str, Any]:
    """Return the data of the retention policy, in the vendor's names; each service has one container."""
    return {
        "enableDailyRetentionPolicy": True,
        "enableCustomizedRetentionPolicy": bool(services),
        "retentionPeriod": default,
        "servicePolicies": [
            {
                "serviceType": service_type,
                "retentionPeriod": period,
                "unassignedObjectRetentionPeriod": "90 days",
                "containerPolicies": [
                    {"containerId": f"c{service_type}", "containerName": "Executives", "retentionPeriod": "Unlimited"}
                ],
            }
            for service_type, period in (services or {}).items()
        ],
    }


SILENT_SERVICE = 12
"""serviceType that is scheduled, but whose backups never start."""


def make_companions(now: datetime, days: int = 30) -> Companions:
    """Return companions whose settings changed within ``days`` before ``now``.

    The subscription was out of policy for two days and retention was shortened. Exchange Online is backed up more often
    since ten days, and one service is silent (see ``schedule_backups``).
    """
    first = datetime.combine((now - timedelta(days=days)).date(), time(), UTC)
    once = {service: (time(1, 30),) for service in (1, 2, 3, 6, SILENT_SERVICE)}
    before = tuple(ServiceSchedule(service, times) for service, times in {0: (time(0),), **once}.items())
    four = tuple(time(hour) for hour in (0, 6, 12, 18))
    since = tuple(ServiceSchedule(service, times) for service, times in {0: four, **once}.items())
    companions = Companions(
        schedules=[(first, before), (first + timedelta(days=days - 10), since)],
        retention=[
            (first, retention_of("7 years", {0: "7 years", 2: "5 years"})),
            (first + timedelta(days=days - 5), retention_of("7 years", {0: "1 years", 2: "5 years"})),
        ],
    )
    out_from, out_until = first + timedelta(days=days - 8), first + timedelta(days=days - 6)
    for number in range(days + 1):
        day = first + timedelta(days=number)
        out = int(out_from.timestamp()) if out_from <= day < out_until else 0
        seats = 380 + 3 * number
        companions.licenses.append((day, license_of(500, seats, 2048, 900 + 12.5 * number, out)))
        companions.activity[day.date(), 1] = (0, number % 3)
    companions.activity[(first + timedelta(days=days - 2)).date(), 1] = (4, 60)
    return companions


def schedule_backups(world: World, companions: Companions, since: datetime, until: datetime, seed: int = 0) -> None:
    """Put the backups that a tenant with this schedule ran: most of them well, some missed, some skipped.

    About one in thirty is missed, and one in forty runs so long that those after it are skipped.
    """
    chance = random.Random(seed)
    jobs: list[SimulatedJob] = []
    busy: dict[int, datetime] = {}
    for moment, service_type in _slots(companions, since, until):
        object_type = OBJECT_TYPE_OF.get(service_type)
        if object_type is None or service_type == SILENT_SERVICE or busy.get(service_type, since) > moment:
            continue
        draw = chance.random()
        if draw < 1 / 30:
            continue
        hours = 0.2 + chance.random() + (9 if draw > 1 - 1 / 40 else 0)
        start = moment + timedelta(seconds=chance.randrange(60, 600))
        state = chance.choices((FINISHED, EXCEPTION, FAILED), weights=(30, 3, 1))[0]
        total = chance.randrange(50, 500)
        failed = 0 if state == FINISHED else total if state == FAILED else 1
        finish = (start + timedelta(hours=hours)).replace(microsecond=0)
        busy[service_type] = finish
        job_id = f"FB{start:%Y%m%d%H%M%S}{object_type:02}{len(jobs):05}"
        jobs.append(SimulatedJob(job_id, object_type, 1, None, start, finish, state, total, failed))
    world.put(*jobs)


def _slots(companions: Companions, since: datetime, until: datetime) -> Iterable[tuple[datetime, int]]:
    """Return each start that the schedule asks for, in order."""
    occurrences = []
    day = since.date()
    while day <= until.date():
        schedule: Sequence[ServiceSchedule] = in_force(companions.schedules, datetime.combine(day, time(), UTC)) or ()
        for service in schedule:
            moments = (datetime.combine(day, start, UTC) for start in service.start_times)
            occurrences += [(moment, service.service_type) for moment in moments if since <= moment < until]
        day += timedelta(days=1)
    return sorted(occurrences)
