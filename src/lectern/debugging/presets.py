"""Run the presets `debug=smoke`, `debug=overfit` and `debug=profile` of the train stage."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from lectern.artifacts import model_folder
from lectern.artifacts.dataset import Facts
from lectern.artifacts.paths import CONF
from lectern.config import NonNegativeInt, PositiveFloat, PositiveInt, call, check_section, nearest
from lectern.debugging.one_batch import OneBatch, StopAtLoss
from lectern.debugging.profile import ProfileSteps
from lectern.debugging.session import Session, check_debug_run, empty_folder
from lectern.errors import UserError
from lectern.tracking.recording import open_store, read_tracking, record_training
from lectern.tracking.run_description import describe_training
from lectern.training import fit
from lectern.training.callbacks import ClipNorm, Progress
from lectern.training.divergence import StopOnDivergence
from lectern.training.extra_callbacks import create_callbacks
from lectern.training.plan import Plan

UNCHANGED = "No output of the pipeline has changed, and no model was registered."


def run_preset(plan: Plan, facts: Facts, config: Mapping[str, Any]) -> None:
    """Run the preset that `debug=...` selects, and print what it did."""
    section = dict(config["debug"])
    name = str(section.pop("name", None))
    if name not in PRESETS:
        presets = list(PRESETS)
        raise UserError(
            f"{CONF}/debug: unknown preset {name!r}{nearest(name, presets)} Available: {', '.join(presets)}."
        )
    check_debug_run(name, config)
    session = Session(name, plan, facts, config)
    where = f"{CONF}/debug/{name}.yaml"
    check_section(PRESETS[name], section, where, positional=1)
    with empty_folder(session.folder):
        message: str = call(PRESETS[name], section, where, session)
    print(f"lectern: debug={name}: {message} {UNCHANGED}")


def smoke(
    session: Session, steps: PositiveInt, validation_steps: PositiveInt, batches: dict[str, PositiveInt], record: bool
) -> str:
    """Train and validate for a few steps, write a checkpoint and a model folder, and load the model."""
    session = session.override_model(batches, {})
    config = {**session.config, "tracking": read_tracking(dict(session.config))}
    description = describe_training(session.plan, session.facts, config, f"debug-{session.title}")
    with record_training(description, open_store(config["tracking"])) if record else nullcontext() as run:
        module = session.create_module()
        history = fit.fit(
            module, session.load("train"), session.load("validation"),
            folder=session.folder, best=session.plan.model.best, name=session.name, epochs=1,
            trainer={**session.trainer, "limit_train_batches": steps, "limit_val_batches": validation_steps},
            on_records=run.log_history if run else None,
            **session.fit_options("precision", "clip_norm", "callbacks"),
        )  # fmt: skip
    model = session.folder / "model"
    model_folder.save_model(module, model, session.plan.metadata)
    model_folder.load_model(model)
    losses = [record.value for record in history.records if record.name == "train_loss"]
    recorded = f" The training is recorded as the MLflow run debug-{session.title}." if record else ""
    return (
        f"trained {history.records[-1].step} steps (training loss {losses[-1]:.4g}), validated, and wrote and loaded "
        f"{model}.{recorded}"
    )


def overfit(
    session: Session,
    steps: PositiveInt,
    loss: PositiveFloat,
    batches: dict[str, PositiveInt],
    module: dict[str, Any],
) -> str:
    """Train on one small batch until the training loss is near zero. Raises UserError if the loss stays higher."""
    session = session.override_model(batches, module)
    network, target = session.create_module(), StopAtLoss(loss)
    batch = OneBatch(session.load("train"), steps)
    train_without_validation(session, network, batch, target, max_epochs=1)
    course = f"training loss {target.first:.4g} at the first step, {target.last:.4g} at step {target.steps}"
    if target.last > loss:
        raise UserError(
            f"debug=overfit did not reach a training loss of {loss:g} on one batch ({course}). The network may have a "
            "mistake in the loss, the labels or the gradients. A low learning rate, augmentation and dropout also "
            "prevent a loss near zero; more steps: debug.steps=1000"
        )
    return f"the network memorized one batch ({course})."


def profile(session: Session, warm_up: NonNegativeInt, steps: PositiveInt, rows: PositiveInt) -> str:
    """Measure training steps with PyTorch's profiler. Print a table of operations, and write a trace."""
    network, measured = session.create_module(), ProfileSteps(warm_up, steps)
    train_without_validation(session, network, session.load("train"), measured, max_epochs=warm_up + steps)
    trace, table = session.folder / "trace.json", session.folder / "table.txt"
    measured.profiler.export_chrome_trace(str(trace))
    text = measured.format_table(rows)
    table.write_text(text, encoding="utf-8")
    print(text)
    return (
        f"measured {steps} steps after {warm_up} steps of warm-up: {1000 * measured.seconds / steps:.1f} ms per step, "
        f"including the profiler. Table: {table}. Trace: {trace}; open it in https://ui.perfetto.dev."
    )


def train_without_validation(
    session: Session, module: Any, loader: Any, callback: StopAtLoss | ProfileSteps, max_epochs: int
) -> None:
    """Train a module in place, without checkpoints and without validation, until the callback stops the training."""
    check = StopOnDivergence(session.folder / "last.ckpt")
    options = session.fit_options("precision", "clip_norm", "accumulate", "callbacks")
    more = create_callbacks(options.get("callbacks") or [])
    own = [check, ClipNorm(options.get("clip_norm"), check), *more, callback, Progress(session.name)]
    runner = fit.create_trainer(
        session.trainer, own, max_epochs=max_epochs, limit_val_batches=0, enable_checkpointing=False,
        precision=options.get("precision", "32-true"), accumulate_grad_batches=options.get("accumulate", 1),
    )  # fmt: skip
    with fit.explain_rejection():
        runner.fit(module, loader)


PRESETS: dict[str, Callable[..., str]] = {"smoke": smoke, "overfit": overfit, "profile": profile}
