"""JSON from outside: what no document store can keep is refused with a sentence."""

from __future__ import annotations

import pytest

from shared.domain.json_text import read_json


def test_good_json_is_read_as_it_stands() -> None:
    text = '{"a": [1, -2.5e3, true, null, "é\\ud83e\\uddec\\u0000"], "b": 9223372036854775807}'
    assert read_json(text.encode()) == {"a": [1, -2500.0, True, None, "é🧬\x00"], "b": 9223372036854775807}


@pytest.mark.parametrize(("data", "says"), [
    (b"", "Expecting value"),
    (b"{", "Expecting"),
    (b'{"a": NaN}', "NaN is not a JSON number"),
    (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
    (b'{"a": 1e999}', "the number 1e999 is too large"),
    (b'{"a": 9223372036854775808}', "does not fit into 64 bits"),
    (b'{"a": ' + b"1" * 5000 + b"}", "does not fit into 64 bits"),
    (b'{"a": "\\ud800"}', r"holds \ud800, one half of a surrogate pair"),
    (b'{"\\uDFFF": 1}', r"holds \udfff, one half of a surrogate pair"),
    (b'{"a": "\xed\xa0\x80"}', "not UTF-8 at byte 7"),
    (b'\xff\xfe{\x00', "not UTF-8 at byte 0"),
    (b"[" * 100_000, "nested too deeply"),
])
def test_what_no_store_can_keep_is_refused_in_a_sentence(data: bytes, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_json(data)
    assert says in str(caught.value)
