"""Reserved INFO and FORMAT keys: VCF 4.3, tables 1 and 2 (section 1.6), with 4.4's and 4.5's structural-variant keys.

Number and Type of a key, used to check a header that declares it otherwise and values whose key is not declared.
A Number of None means that versions of the specification, or callers, disagree: any is accepted.
"""

from __future__ import annotations

RESERVED_INFO: dict[str, tuple[str | None, str]] = {
    "AA": ("1", "String"), "AC": ("A", "Integer"), "AD": ("R", "Integer"), "ADF": ("R", "Integer"),
    "ADR": ("R", "Integer"), "AF": ("A", "Float"), "AN": ("1", "Integer"), "BQ": ("1", "Float"),
    "CIGAR": ("A", "String"), "DB": ("0", "Flag"), "DP": ("1", "Integer"), "END": ("1", "Integer"),
    "H2": ("0", "Flag"), "H3": ("0", "Flag"), "MQ": ("1", "Float"), "MQ0": ("1", "Integer"),
    "NS": ("1", "Integer"), "SB": (None, "Any"), "SOMATIC": ("0", "Flag"), "VALIDATED": ("0", "Flag"),
    "1000G": ("0", "Flag"), "IMPRECISE": ("0", "Flag"), "NOVEL": ("0", "Flag"), "SVTYPE": (None, "String"),
    "SVLEN": (None, "Integer"), "CIPOS": (None, "Integer"), "CIEND": (None, "Integer"),
    "HOMLEN": (None, "Integer"), "HOMSEQ": (None, "String"), "BKPTID": (None, "String"),
    "MEINFO": (None, "String"), "METRANS": (None, "String"), "DGVID": ("1", "String"),
    "DBVARID": ("1", "String"), "DBRIPID": ("1", "String"), "MATEID": (None, "String"),
    "PARID": (None, "String"), "EVENT": (None, "String"), "CILEN": (None, "Integer"), "DPADJ": (None, "Integer"),
    "CN": (None, "Any"), "CNADJ": (None, "Any"), "CICN": (None, "Any"), "CICNADJ": (None, "Any"),
}

RESERVED_FORMAT: dict[str, tuple[str | None, str]] = {
    "AD": ("R", "Integer"), "ADF": ("R", "Integer"), "ADR": ("R", "Integer"), "DP": ("1", "Integer"),
    "EC": ("A", "Integer"), "FT": ("1", "String"), "GL": ("G", "Float"), "GP": ("G", "Float"),
    "GQ": ("1", "Integer"), "GT": ("1", "String"), "HQ": ("2", "Integer"), "MQ": ("1", "Integer"),
    "PL": ("G", "Integer"), "PQ": ("1", "Integer"), "PS": ("1", "Integer"), "CN": (None, "Any"),
    "CNQ": ("1", "Float"), "CNL": ("G", "Float"), "CNP": ("G", "Float"), "NQ": ("1", "Integer"),
    "HAP": ("1", "Integer"), "AHAP": ("1", "Integer"), "GLE": ("G", "String"),
}

# Counts and positions: a negative one is nonsense whatever the header says.
NON_NEGATIVE = frozenset({"AC", "AN", "DP", "END", "MQ0", "NS", "AD", "ADF", "ADR", "AF", "BQ", "GQ", "EC"})
AT_MOST_ONE = frozenset({"AF"})

# Structural-variant prefixes of symbolic alleles (VCF 4.3, section 1.4.5), and what callers add to them.
ALT_PREFIXES = ("DEL", "INS", "DUP", "INV", "CNV", "BND", "NON_REF", "*", "X", "STR", "CN", "TRA", "CTX", "M", "R", "N")
