"""The loops over the bytes of a VCF and the bitmaps of an order, compiled (compiled.py over kernels.c and bits.c) or in
NumPy and Arrow (plain.py).

Both give the same values, which tests/unit/variants/test_kernels.py holds them to. Plain is what runs where there was
no C compiler at `make install`. docs/decisions/0018-compiled-kernels.md.

`text` is UTF-8; a field is a pair of offsets into it. For `split`, `first` and `keyed` the fields ascend, and none
overlaps the next; for the others they may come in any order, and more than once.

    find(text, sought)                  for each byte of `sought` its offsets, ascending
    strings(text, starts, ends, valid)  string array of the fields, null where `valid` (None: everywhere) is false
    split(found, starts, ends)          (number of parts of each field when cut at the offsets `found`; starts, and
                                        ends, of all parts)
    first(found, starts, ends)          the first of `found` in each field, -1 without one
    missing(text, starts, ends)         whether a field is `.`
    integers(text, starts, ends)        (int64 array, null where a field is empty or `.`; whether a field is spelled
                                        otherwise than most: then its value is null, and others have to read it)
    floats(text, starts, ends)          the same with doubles
    encode(text, starts, ends, valid)   (int32 code of each field, equal for equal bytes, counted in order of
                                        appearance, -1 where not valid; which field each code was first)
    keyed(text, semicolons, equals,     the fields cut at `;`, and each part at its first `=`, sorted by key
          starts, ends)                 (types.Keyed)

Of bitmaps (order_index.py):

    within(codes, first, last)          bitmap of the rows whose code (unsigned; `first` and `last` too) is between
    common(words, bitmaps)              of each bitmap how many bits it shares with `words`
    rows_of(words)                      numbers of the rows that are set, ascending
    paired(words, rows, starts, classes, in_trans)  rows that are set and have a partner that is set, as a bitmap: one
                                        in trans, or else one that is not in cis (inheritance.py, which tells what rows
                                        a class has: rows[starts[i] up to starts[i + 1]], the last to the end)
"""

from __future__ import annotations

from types import ModuleType

from shared.variants.kernels import compiled, plain

CHOSEN: ModuleType = compiled if compiled.is_there() else plain

find, strings, split, first = CHOSEN.find, CHOSEN.strings, CHOSEN.split, CHOSEN.first
missing, integers, floats = CHOSEN.missing, CHOSEN.integers, CHOSEN.floats
encode, keyed = CHOSEN.encode, CHOSEN.keyed
within, common, rows_of, paired = CHOSEN.within, CHOSEN.common, CHOSEN.rows_of, CHOSEN.paired
