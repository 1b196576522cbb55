"""List the plots of the report that `dvc plots` draws."""

from lectern.stages.dvc_plots import Plot

PLOTS = (
    Plot("Calibration", "calibration.csv", "confidence", ("accuracy",), "confidence", "accuracy"),
    Plot(
        "Confusion matrix", "confusion.csv", "prediction", ("label",), "predicted class", "true class",
        template="confusion", is_separate=True,
    ),
)  # fmt: skip
