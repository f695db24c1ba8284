"""Define the credentials, as dlt resolves them: single keys, or one JSON object of a vault."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dlt.common.configuration import configspec
from dlt.common.configuration.specs import CredentialsConfiguration
from dlt.common.typing import TSecretStrValue

from avepoint_m365.config import SECTION, parse_moment
from avepoint_m365.exceptions import ConfigurationError

if TYPE_CHECKING:
    from avepoint_m365.api.auth import ClientCredential


@configspec
class AvePointCredentials(CredentialsConfiguration):
    """Hold a client id with its secret or a certificate, as dlt resolves it from ``credentials``.

    Attributes:
        client_id: Client id of the app registration.
        client_secret: Its secret; unset with a certificate.
        certificate_path: Path of a certificate (.pfx or .pem) in place of a secret.
        certificate_password: Password of the certificate, if it has one.
        expires_at: When the secret expires (UTC without a zone); ``check`` warns 30 days before. A certificate
            contains its expiry.
    """

    # The keys that ``dlt init`` writes into secrets.toml for the user to fill in.
    __config_gen_annotations__: ClassVar[list[str]] = ["client_id", "client_secret"]

    client_id: str | None = None
    client_secret: TSecretStrValue | None = None
    certificate_path: str | None = None
    certificate_password: TSecretStrValue | None = None
    expires_at: str | None = None

    def parse_native_representation(self, native_value: object) -> None:
        """Read the credentials from a JSON object, as vaults store them. dlt completes them from single keys.

        Raises:
            ConfigurationError: for any other text, and for unknown keys; without the text, which may be a secret.
        """
        for key, value in read_credentials(
            native_value, f"{SECTION}.credentials", self.get_resolvable_fields()
        ).items():
            setattr(self, key, value)

    def identity(self, section: str = SECTION) -> ClientCredential:
        """Return the client credential; errors name ``section`` as its place in the configuration.

        Raises:
            ConfigurationError: if the client id is missing, not exactly one of secret and certificate is set, or the
                packages for certificates are not installed.
        """
        self._check(section)
        client_id = str(self.client_id)
        if self.certificate_path:
            try:
                from avepoint_m365.api.certificate import load_certificate
            except ModuleNotFoundError as error:
                raise ConfigurationError(
                    f"{section}.credentials.certificate_path: {error.name} is not installed. "
                    "Run: pip install 'avepoint-m365-jobs[certificate]'"
                ) from error
            return load_certificate(client_id, Path(self.certificate_path), self.certificate_password)
        from avepoint_m365.api.auth import Secret

        return Secret(client_id, str(self.client_secret))

    def _check(self, section: str) -> None:
        if not self.client_id:
            raise ConfigurationError(
                f"{section}.credentials.client_id is missing. Set it in .dlt/secrets.toml or as the variable "
                f"{section.replace('.', '__').upper()}__CREDENTIALS__CLIENT_ID, with client_secret or certificate_path "
                "beside it."
            )
        if bool(self.client_secret) == bool(self.certificate_path):
            raise ConfigurationError(
                f"{section}.credentials needs either client_secret or certificate_path: "
                f"{'both are' if self.client_secret else 'neither is'} set."
            )
        if self.certificate_password and not self.certificate_path:
            raise ConfigurationError(
                f"{section}.credentials.certificate_password is set, but no certificate_path that it could open."
            )
        if self.expires_at:
            parse_moment(f"{section}.credentials.expires_at", self.expires_at)

    def ends_at(self) -> datetime | None:
        """Return when the credentials expire (UTC), by the configuration or else by the certificate; None if unknown.

        Raises:
            ConfigurationError: if the credentials cannot work.
        """
        if self.expires_at:
            return parse_moment(f"{SECTION}.credentials.expires_at", self.expires_at)
        self._check(SECTION)
        return self.identity().expires_at if self.certificate_path else None


def read_credentials(text: object, section: str, known: Iterable[str]) -> dict[str, str]:
    """Return the keys and values of a JSON object.

    Raises:
        ConfigurationError: for any other text, and for a key that is not in ``known``; without the text, which may be a
            secret.
    """
    try:
        values = json.loads(str(text))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"Invalid value: {section} is not a JSON object. Set {section}.client_id and the keys beside it."
        )
    for key, value in values.items():
        if key not in known:
            raise ConfigurationError(f"Unknown key: {section}.{key}. Known are: {', '.join(known)}.")
        if not isinstance(value, str):
            raise ConfigurationError(f"Invalid value: {section}.{key} is not a text. Write it in quotes.")
    return values
