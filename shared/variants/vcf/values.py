"""Text fields into typed values. What does not fit its declared type is reported, never guessed and never dropped."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants import kernels
from shared.variants.vcf.spans import Bools, Spans

ARROW_TYPES: dict[str, pa.DataType] = {
    "Integer": pa.int64(),  # 64 bits: positions above 2^32 occur, and a value out of range is not ours to clip
    "Float": pa.float64(),  # so that the decimal in the file comes back
    "String": pa.string(),
    "Character": pa.string(),
    "Flag": pa.bool_(),
}

# Made once: pyarrow looks for pandas on the disk whenever it turns a Python value into one of its own.
FALSE, ZERO, ONE, MINUS_ONE, NO_TEXT, DASH = (pa.scalar(value) for value in (False, 0, 1, -1, "", "-"))
NULL_TEXT = pa.scalar(None, pa.string())

_INTEGER = r"^-?[0-9]{1,18}$"
# VCF 4.3, section 1.3: the grammar of a Float; a leading plus is not read by Arrow, so such a value stays text.
_FLOAT = r"^-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$|^-?(?i:inf|infinity|nan)$"


def typed(fields: Spans, kind: str) -> tuple[pa.Array, Bools]:
    """(values of the type that `kind` names, null for `.` and for no text; true where a field is no such value).

    Strings are percent-decoded, once (VCF 4.3, section 1.2).
    """
    if kind not in ("Integer", "Float"):
        present = ~fields.is_missing() & (fields.sizes > 0)
        return decoded(fields.to_arrow(present)), np.zeros(len(fields), np.bool_)
    read = kernels.integers if kind == "Integer" else kernels.floats
    values, unsure = read(fields.text.u8, fields.starts, fields.ends)
    at = np.flatnonzero(unsure)
    if not len(at):
        return values, unsure
    others, bad = numbers(fields[at].to_arrow(), np.ones(len(at), np.bool_), kind)
    unfit = np.zeros(len(fields), np.bool_)
    unfit[at] = bad
    return pc.replace_with_mask(values, pa.array(unsure), others), unfit


def numbers(text: pa.Array, present: Bools, kind: str) -> tuple[pa.Array, Bools]:
    """As `typed`, for numbers, from a string array that is null where `present` is false."""
    target = ARROW_TYPES[kind]
    # Arrow reads 0x1F as an integer; VCF does not.
    if kind == "Float" or not holds(text, "x"):
        try:
            return text.cast(target), np.zeros(len(text), np.bool_)
        except pa.ArrowInvalid:
            pass
    fits = pc.match_substring_regex(text, _INTEGER if kind == "Integer" else _FLOAT)
    good: Bools = fits.fill_null(FALSE).to_numpy(zero_copy_only=False)
    return pc.if_else(pa.array(good), text, None).cast(target), present & ~good


def decoded(text: pa.Array) -> pa.Array:
    """`%3D` as `=` and so on; a `%` that begins no code stays, and so do codes that are not UTF-8."""
    if not holds(text, "%"):
        return text
    # Few values hold a code, so they alone leave the columns.
    hits = np.flatnonzero(pc.match_substring(text, "%").fill_null(FALSE).to_numpy(zero_copy_only=False))
    if not len(hits):
        return text
    mask = np.zeros(len(text), np.bool_)
    mask[hits] = True
    fresh = pa.array([percent_decoded(value) for value in text.take(pa.array(hits)).to_pylist()], pa.string())
    return pc.replace_with_mask(text, pa.array(mask), fresh)


def percent_decoded(value: str) -> str:
    if "%" not in value:
        return value
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        return value


def holds(text: pa.Array, needle: str) -> bool:
    data = text.buffers()[2]
    return data is not None and bool((np.frombuffer(data, np.uint8) == ord(needle)).any())


