"""List the plots of the report that `dvc plots` draws."""

from lectern.stages.dvc_plots import Plot

PLOTS = (
    Plot(
        "Angle over time", "angles.csv", "seconds", ("driver", "network"), "time (s)", "angle",
        same_for_all=("driver",),
    ),
)  # fmt: skip
