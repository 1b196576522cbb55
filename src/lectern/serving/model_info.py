"""Describe a champion for the clients of the API."""

from pydantic import BaseModel, Field

from lectern.serving.champions import Champion


class ModelInfo(BaseModel):
    """The information about a champion in the responses of the API."""

    name: str
    task: str
    version: int
    alias: str = "champion"
    experiment: str
    code: str = Field(description="digest of the code that predicts; comments and docstrings do not change the digest")
    packaged_code: bool = Field(
        description="true if the packaged code of the version predicts in a separate process, "
        "because the packaged code differs from the code of the server"
    )
    metric: str = Field(description="name of the score, such as accuracy")
    score: float
    baseline: float = Field(description="score of a trivial method on the test data of the model")
    higher_is_better: bool
    card: str = Field(description="model card in Markdown")
    run: str = Field(description="ID of the MLflow run that trained the version")


def describe_champion(champion: Champion) -> ModelInfo:
    """Return the information about a champion for a response of the API."""
    version = champion.version
    return ModelInfo(
        name=version.name,
        task=version.task,
        version=version.number,
        experiment=version.experiment,
        code=version.code,
        packaged_code=champion.runs_packaged_code,
        metric=champion.score_unit.name.replace("_", " "),
        score=version.score,
        baseline=version.baseline,
        higher_is_better=version.higher_is_better,
        card=version.card,
        run=version.run_id,
    )
