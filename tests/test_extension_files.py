"""Test how the import statements of a package are changed for a registered version."""

import pytest

from lectern.artifacts.extension_files import move_imports
from lectern.errors import UserError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from shapes import layers", "from lectern.extensions.shapes import layers"),
        ("from shapes.layers import Square", "from lectern.extensions.shapes.layers import Square"),
        ("import shapes.layers as layers  # squares", "import lectern.extensions.shapes.layers as layers  # squares"),
        ("import os  # not shapes", "import os  # not shapes"),
        ("import other.shapes, shapes_2", "import other.shapes, shapes_2"),
    ],
)
def test_imports_of_the_own_package_are_changed(tmp_path, line, expected):
    path = tmp_path / "networks.py"
    path.write_text(f"{line}\n")
    assert move_imports(path, "shapes") == f"{expected}\n"


@pytest.mark.parametrize(
    "line", ["import shapes", "import shapes.layers", "import os, shapes", "import shapes as s, os"]
)
def test_imports_that_cannot_be_changed_are_refused(tmp_path, line):
    path = tmp_path / "networks.py"
    path.write_text(f"import os\n{line}\n")
    with pytest.raises(UserError, match="contains `import .*shapes.*cannot be copied .* Write `from shapes import"):
        move_imports(path, "shapes")
