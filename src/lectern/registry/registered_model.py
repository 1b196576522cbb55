"""Read the versions and aliases of a registered model, and move its aliases."""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.entities.model_registry import RegisteredModel as MlflowModel
from mlflow.exceptions import MlflowException

from lectern.config import nearest
from lectern.errors import UserError
from lectern.registry.decision_lines import select_valid_lines
from lectern.registry.version_record import (
    DECISION_PREFIX,
    ModelVersionRecord,
    UnreadableVersion,
    read_record,
)

CHAMPION, CHALLENGER = "champion", "challenger"

NO_MODELS = "No model is registered yet. To train and register models, run `dvc repro` or `make demo`."
Aliases = dict[str, int | None]  # maps an alias to a version number, or to None if no version has the alias


class RegisteredModel:
    """The versions and aliases of a registered model, as read from the tracking store.

    `refresh` reads the versions and aliases again. Raises UserError if no model of the given name is registered.
    """

    aliases: dict[str, int]
    versions: list[ModelVersionRecord]  # the newest first
    unreadable: list[UnreadableVersion]
    decisions: set[str]  # lines of the audit log that are stored as tags of the versions

    def __init__(self, client: MlflowClient, name: str):
        self.client, self.name = client, name
        self.refresh()

    def refresh(self) -> None:
        """Read the versions and aliases from the tracking store again."""
        self.aliases = read_aliases(self.client, self.name)
        found = search_versions(self.client, self.name)
        records = [read_record(version, self.client.tracking_uri) for version in found]
        self.versions = [record for record in records if isinstance(record, ModelVersionRecord)]
        self.versions.sort(key=lambda record: record.number, reverse=True)
        self.unreadable = [record for record in records if isinstance(record, UnreadableVersion)]
        self.decisions = {line for version in found for line in read_decision_tags(version)}

    @property
    def champion_number(self) -> int | None:
        return self.aliases.get(CHAMPION)

    @property
    def champion(self) -> ModelVersionRecord | None:
        """The version with the alias `champion`, or None if there is no champion.

        Raises UserError if Lectern cannot use the champion.
        """
        return None if self.champion_number is None else self.get(CHAMPION)

    @property
    def readable_champion(self) -> ModelVersionRecord | None:
        """The champion, or None if there is no champion or Lectern cannot use the champion."""
        return next((record for record in self.versions if record.number == self.champion_number), None)

    def get(self, which: str) -> ModelVersionRecord:
        """Return the version with a number or alias.

        Raises UserError with a list of all versions if no version matches.
        """
        number = str(self.aliases.get(which, which))
        for record in self.versions:
            if str(record.number) == number:
                return record
        for version in self.unreadable:
            if str(version.number) == number:
                raise UserError(version.reason)
        numbers = sorted([record.number for record in self.versions] + [version.number for version in self.unreadable])
        raise UserError(
            f"{self.name} has no version or alias {which!r}. "
            f"Versions: {', '.join(map(str, numbers)) or 'none'}; aliases: {', '.join(self.aliases) or 'none yet'}."
        )

    def find(self, identity: str) -> ModelVersionRecord | None:
        """Return the newest version with the given identity, or None if there is no such version."""
        return next((record for record in self.versions if record.identity == identity), None)

    def find_outputs(self, outputs: str) -> ModelVersionRecord | None:
        """Return the newest version of the given outputs, with any code, or None if there is no such version."""
        return next((record for record in self.versions if record.outputs == outputs), None)

    def find_unreadable(self, identity: str) -> UnreadableVersion | None:
        return next((version for version in self.unreadable if version.identity == identity), None)

    def aliases_of(self, number: int) -> str:
        """Return the aliases of a version, joined by commas."""
        return ", ".join(alias for alias, target in self.aliases.items() if target == number)

    def aliases_with(self, champion: ModelVersionRecord | None) -> Aliases:
        """Return the aliases that the model must have if `champion` becomes the champion. None means no champion.

        The challenger is the best of all other versions that are better than their baseline and were scored on the
        champion's test data.
        """
        number = champion.number if champion else None
        scored = champion or (self.versions[0] if self.versions else None)
        return {CHAMPION: number, CHALLENGER: self.best_version(scored, number) if scored else None}

    def best_version(self, scored: ModelVersionRecord, excluded: int | None) -> int | None:
        """Return the number of the best version that was scored on the test data of `scored`, or None.

        The score of the best version must also be better than its baseline. The version with the number `excluded`, and
        all versions with the same content as this version, are left out.
        """
        content = {record.identity for record in self.versions if record.number == excluded}
        candidates = [
            record
            for record in self.versions
            if record.number != excluded
            and record.identity not in content
            and record.test_digest == scored.test_digest
            and record.is_above_baseline
        ]
        return max(candidates, key=lambda record: scored.direction * record.score).number if candidates else None

    def move_aliases(self, targets: Aliases) -> None:
        """Set each alias in `targets` to its version, and remove each alias whose version is None."""
        self.aliases = read_aliases(self.client, self.name)
        for alias, number in targets.items():
            if number == self.aliases.get(alias):
                continue
            if number is None:
                self.client.delete_registered_model_alias(self.name, alias)
            else:
                self.client.set_registered_model_alias(self.name, alias, str(number))
        self.refresh()

    def point_champion(self, record: ModelVersionRecord) -> None:
        """Make a version the champion, and make the best of the remaining versions the challenger."""
        self.refresh()
        self.move_aliases(self.aliases_with(record))

    def update_challenger(self, scored: ModelVersionRecord) -> None:
        """Move the alias `challenger` to the best version that is not the champion.

        Versions are ignored if their score was computed on other test data than the score of the version `scored`.
        """
        self.refresh()
        self.move_aliases({CHALLENGER: self.best_version(scored, self.champion_number)})


def search_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Return all versions of a model. Raises UserError if MLflow's filters do not support the name of the model."""
    quote = '"' if "'" in name else "'"
    try:
        return list(client.search_model_versions(f"name = {quote}{name}{quote}"))
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        raise UserError(
            f"MLflow cannot search for versions of {name!r}: {error}. Rename the model in MLflow."
        ) from error


def read_decision_tags(version: ModelVersion) -> set[str]:
    """Return the lines of the audit log in the tags of a version."""
    tags = {key: value for key, value in version.tags.items() if key.startswith(DECISION_PREFIX)}
    return {
        line
        for key, value in tags.items()
        for line in select_valid_lines(value, f"The tag {key} of {version.name} version {version.version}")
    }


def read_aliases(client: MlflowClient, name: str) -> dict[str, int]:
    """Return a dict that maps each alias to its version number. Raises UserError if the model is not registered."""
    try:
        return {alias: int(number) for alias, number in client.get_registered_model(name).aliases.items()}
    except MlflowException as error:
        names = model_names(client)
        choices = f"Registered: {', '.join(names)}." if names else NO_MODELS
        raise UserError(f"No model {name!r} is registered{nearest(name, names)} {choices}") from error


def model_names(client: MlflowClient) -> list[str]:
    return sorted(model.name for model in list_models(client))


def list_models(client: MlflowClient) -> list[MlflowModel]:
    """Return all registered models. The tracking store returns at most 1000 models at a time."""
    page = client.search_registered_models(max_results=1000)
    models = list(page)
    while page.token:
        page = client.search_registered_models(max_results=1000, page_token=page.token)
        models += page
    return models


def find_model(client: MlflowClient, name: str) -> RegisteredModel | None:
    """Return the registered model `name`, or None if no model of this name is registered."""
    return RegisteredModel(client, name) if name in model_names(client) else None
