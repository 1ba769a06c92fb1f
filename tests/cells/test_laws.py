"""Every cell of the catalogue keeps every law of a sequence."""

import pytest

from tests.cases import make_case
from tests.catalogue import CELLS
from tests.laws import Laws


@pytest.fixture(scope="module", params=CELLS)
def case(request):
    """One cell of the catalogue."""
    return make_case(CELLS[request.param])


class TestCells(Laws):
    """The laws, over every cell."""
