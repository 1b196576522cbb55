"""List the plots of the report that `dvc plots` draws."""

from lectern.stages.dvc_plots import Plot

PLOTS = (
    Plot(
        "Score by sentence length", "score_by_length.csv", "words", ("score",), "words in the source sentence", "score",
    ),
)  # fmt: skip
