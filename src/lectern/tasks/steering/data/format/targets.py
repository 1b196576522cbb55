"""Name the targets that a recording can have in addition to the angle."""

OPTIONAL_TARGETS = ("speed", "throttle", "brake", "torque")  # each in the unit of the recording
