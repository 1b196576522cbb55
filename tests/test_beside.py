"""A process beside this one answers as this one would, and says when it is gone."""

import os
import re
from pathlib import Path

import pytest

from lectern.errors import UserError
from lectern.registry.scoring import measure_model
from lectern.registry.scoring_process import scoring_worker
from registered import NAME


def test_another_process_finds_of_a_model_what_this_one_would_and_tells_a_mistake_alike(stocked):
    folder, processed = Path("models/best"), Path("data/processed", NAME)
    with scoring_worker() as ask:
        here, there = measure_model(folder, processed), ask(measure_model, folder, processed)
        assert there.score == here.score and there.size == here.size and there.items.equals(here.items)
        with pytest.raises(UserError) as told:
            measure_model(Path("models/gone"), processed)
        with pytest.raises(UserError, match=f"^{re.escape(str(told.value))}$"):
            ask(measure_model, Path("models/gone"), processed)


def test_that_the_other_process_was_killed_is_said():
    with pytest.raises(UserError, match="was killed, as happens where memory runs out"), scoring_worker() as ask:
        ask(os._exit, 1)
