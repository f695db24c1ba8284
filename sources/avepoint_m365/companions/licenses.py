"""Read licence consumption: seats and storage, and since or until when the subscription is in policy."""

from __future__ import annotations

from typing import Any

from avepoint_m365.companions.base import PERMISSION, Answers, Ask, Companion, Memory, Row, object_of
from avepoint_m365.companions.columns import LOCATION
from avepoint_m365.companions.values import parse_any_time, parse_number, parse_whole
from avepoint_m365.parse.names import field_of
from avepoint_m365.schema import TENANT, Column, Table, count, number, required, text, time

FIELDS = ("outOfPolicyTime", "purchasedUserSeats", "assignedUserSeats", "purchasedStorageSize", "protectedSize")
"""The documented fields of a response."""

NEVER_NEGATIVE = ("purchased_user_seats", "assigned_user_seats", "purchased_storage_gb", "protected_size_gb")

LICENSE_CONSUMPTION = Table(
    "license_consumption",
    "Licence consumption (GET /backup/m365/cloudbackuplicenseconsumption): a snapshot per UTC day and location, the "
    "last of the day. Without a location it covers all locations.",
    ("tenant", "id"),
    (
        required(TENANT),
        required(text("id", "Day and location.")),
        Column("day", "date", "UTC day of the snapshot."),
        LOCATION,
        count("purchased_user_seats", "Seats bought.", "seats"),
        count("assigned_user_seats", "Seats in use.", "seats"),
        number("purchased_storage_gb", "Storage bought.", "GB"),
        number("protected_size_gb", "Data that is protected.", "GB"),
        time(
            "out_of_policy_at",
            "outOfPolicyTime as a time; null where it is 0. The vendor's table says when the subscription went out of "
            "policy, its sample when it expires: a time in the past is read as the first, one ahead as the second.",
        ),
        count(
            "out_of_policy_time_raw",
            "outOfPolicyTime as the API sent it. Its unit is undocumented; seconds, milliseconds and .NET ticks are "
            "told apart by their size.",
            "",
        ),
        time("snapshot_at", "When it was read."),
    ),
)


class Licenses(Companion):
    """Read licence consumption. Without a location the answer covers all locations."""

    name = "licenses"
    scope = PERMISSION + "subscriptionInfo.read.all"
    paths = ("/backup/m365/cloudbackuplicenseconsumption", "/backup/m365/licenseconsumption")
    tables = (LICENSE_CONSUMPTION,)

    def read(self, ask: Ask, location: str | None, memory: Memory, answers: Answers) -> None:
        """Add the snapshot of one location."""
        data = object_of(ask(location), self.paths[0], FIELDS)
        now, tenant = ask.context.now, ask.context.tenant
        answers.note_renamed(data, FIELDS)

        def columns() -> Row:
            # The vendor's table says since when the subscription is out of policy, its sample when it expires. The
            # unit of the number is undocumented as well, hence the number beside the time.
            raw: Any = field_of(data, "outOfPolicyTime")
            return {
                "purchased_user_seats": parse_whole(field_of(data, "purchasedUserSeats")),
                "assigned_user_seats": parse_whole(field_of(data, "assignedUserSeats")),
                "purchased_storage_gb": parse_number(field_of(data, "purchasedStorageSize")),
                "protected_size_gb": parse_number(field_of(data, "protectedSize")),
                "out_of_policy_at": parse_any_time(raw),
                "out_of_policy_time_raw": _raw(raw),
            }

        row = {"tenant": tenant, "id": f"{now:%Y-%m-%d}/{location or ''}", "day": now.date(), "location": location}
        values = ask.of(columns, "licence consumption")
        for name in NEVER_NEGATIVE:
            value = values[name]
            if isinstance(value, int | float) and value < 0:
                answers.note("negative_licence_value", "a negative number in licence consumption", f"{name}: {value}")
        answers.add(LICENSE_CONSUMPTION.name, {**row, **values, "snapshot_at": now})


def _raw(value: object) -> int | None:
    """Return the number as the API sent it; None where it sent no number, or one beyond 64 bits."""
    try:
        number = parse_whole(value)
    except ValueError:
        return None
    return number if number is not None and -(2**63) <= number < 2**63 else None
