"""The codes of ids are found again, and unknown ids are not guessed."""

import numpy as np
import pytest
from hashnet.distributed.serving.code_table import CodeTable


def test_every_id_has_its_code(make_index, data):
    codes, ids, _ = data
    np.testing.assert_array_equal(CodeTable.of(make_index()).codes_of(ids), codes)


@pytest.mark.parametrize("unknown", [-1, 10**9, 10**6])
def test_an_id_that_is_not_there_is_an_error(make_index, data, unknown):
    with pytest.raises(KeyError, match=str(unknown)):
        CodeTable.of(make_index()).codes_of(np.array([data[1][0], unknown]))
