"""List the targets that a recording can have in addition to the steering angle."""

OPTIONAL_TARGETS = ("speed", "throttle", "brake", "torque")  # in the units of the recording
