"""Name the targets that a recording can have in addition to the angle."""

OPTIONAL_TARGETS = ("speed", "throttle", "brake", "torque")  # Each target has the unit of the recording.
