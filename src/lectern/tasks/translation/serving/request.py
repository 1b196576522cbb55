"""What may be asked of a translator: sentences in JSON."""

from pydantic import Field

from lectern.tasks.translation.model.module import WIDEST_BEAM

ROWS = 64  # searched together
TOGETHER = False  # a search waits for its longest sentence: a short one would wait with it
PARAMETERS = {
    "beam": Field(ge=1, le=WIDEST_BEAM, description="beginnings kept while searching; 1 is greedy"),
    "n_best": Field(ge=1, le=WIDEST_BEAM, description="translations of each sentence, not more than `beam`"),
}
FILES: dict = {}  # sentences are columns of a table: nothing that only this room could read
