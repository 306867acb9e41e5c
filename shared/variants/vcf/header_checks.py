"""Defects of a header that do not stop anybody from reading the records: each becomes a note with its line.

VCF 4.3, section 1.4. The conformance files of the specification say what counts as a defect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from shared.variants.report import Notes
from shared.variants.vcf.header import Header, MetaLine
from shared.variants.vcf.reserved import ALT_PREFIXES, RESERVED_FORMAT, RESERVED_INFO

_TYPES = {"INFO": {"Integer", "Float", "Flag", "Character", "String"},
          "FORMAT": {"Integer", "Float", "Character", "String"}}
_NUMBER = re.compile(r"^(\d+|[ARG.]|P|M|LA|LR|LG)$")
_CONTIG_ID = re.compile(r"^[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*$")
_STRUCTURED = {"INFO", "FORMAT", "FILTER", "ALT", "contig", "SAMPLE", "META"}
_ORDER = {"INFO": ("ID", "Number", "Type", "Description"), "FORMAT": ("ID", "Number", "Type", "Description"),
          "FILTER": ("ID", "Description"), "ALT": ("ID", "Description")}
_URLS = {"assembly", "pedigreeDB"}
_WORD = re.compile(r"^[\w./+-]+$")


def check_header(header: Header, notes: Notes) -> None:
    """Adds a note for each defect found."""
    for line in header.meta:
        for defect in _defects(line, header.version):
            notes.add("header", f"##{line.key}: {defect}", line.line)
    seen: set[tuple[str, str]] = set()
    for line in header.meta:
        name = line.get("ID")
        if line.key not in _STRUCTURED or not name:
            continue
        if (line.key, name) in seen:
            notes.add("header", f"##{line.key}: {name} is declared twice; the first declaration is used", line.line)
        seen.add((line.key, name))


def _defects(line: MetaLine, version: tuple[int, int]) -> Iterator[str]:
    if line.pairs is None:
        yield from _plain_defects(line, version)
        return
    if not line.whole:
        yield f"not key=value pairs between < and >: {line.value[:80]!r}"
    if line.key in _STRUCTURED and not line.get("ID"):
        yield "no ID"
    if line.key in _ORDER:
        yield from _order_defects(line)
    if line.key in ("INFO", "FORMAT"):
        yield from _declaration_defects(line, version)
    elif line.key == "ALT":
        yield from _alt_defects(line)
    elif line.key in ("contig", "SAMPLE"):
        yield from _name_defects(line)
        yield from _sample_defects(line, version) if line.key == "SAMPLE" else ()
    elif line.key == "META":
        yield from _meta_defects(line)
    elif line.key == "PEDIGREE":
        yield from _pedigree_defects(line, version)
    if line.value in ("<>", "<"):
        yield "nothing between < and >"


def _plain_defects(line: MetaLine, version: tuple[int, int]) -> Iterator[str]:
    if not line.whole:
        yield "not a key=value pair"
    elif not line.value.strip():
        yield "the value is empty"
    elif line.key in _STRUCTURED or (line.key == "PEDIGREE" and version >= (4, 3)):
        yield f"not <key=value,...>: {line.value[:80]!r}"
    elif line.key in _URLS and not _is_url(line.value, required=line.key == "assembly"):
        yield f"not a URL: {line.value[:80]!r}"
    if line.whole and not _WORD.match(line.key):
        yield f"the key {line.key[:60]!r} is not a word"


def _is_url(value: str, required: bool) -> bool:
    if not required and "://" not in value:
        return True
    try:
        parts = urlsplit(value.strip("<>"))
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return parts.scheme == "file" or (bool(host) and not (host or "").isdigit()) or "://" not in value


def _order_defects(line: MetaLine) -> Iterator[str]:
    named = _ORDER[line.key]
    present = [key for key, _ in line.pairs or () if key in named or key in ("Number", "Type")]
    wanted = ("ID", "Number", "Type", "Description")
    if present != [key for key in wanted if key in present]:
        yield f"the order is not {', '.join(named)}"
    for key in named:
        if line.get(key) is None:
            yield f"{line.get('ID')} has no {key}"
    description = next((value for key, value in line.pairs or () if key == "Description"), '""')
    if not (len(description) >= 2 and description[0] == description[-1] == '"'):
        yield f"the Description of {line.get('ID')} is not in double quotes"


def _declaration_defects(line: MetaLine, version: tuple[int, int]) -> Iterator[str]:
    key, number, type_ = line.get("ID") or "", line.get("Number") or "", line.get("Type") or ""
    if number and not _NUMBER.match(number):
        yield f"Number={number} of {key} is no number of values"
    if type_ and type_ not in _TYPES[line.key]:
        yield f"Type={type_} of {key} is no type"
    if (number == "0") != (type_ == "Flag") and number and type_ in _TYPES[line.key]:
        yield f"{key} has Number={number} and Type={type_}: a Flag, and nothing else, has Number=0"
    wanted = (RESERVED_INFO if line.key == "INFO" else RESERVED_FORMAT).get(key)
    if wanted is None:
        return
    if wanted[0] is not None and number and number != wanted[0] and not _older(key, number, version):
        yield f"{key} has Number={number}, the specification says {wanted[0]}"
    if wanted[1] != "Any" and type_ and type_ != wanted[1]:
        yield f"{key} has Type={type_}, the specification says {wanted[1]}"


def _older(key: str, number: str, version: tuple[int, int]) -> bool:
    """Before 4.3 lists over alleles were declared with `.`, as Number=R did not exist before 4.2."""
    over_alleles = ("AC", "AF", "AD", "ADF", "ADR", "GL", "GP", "PL", "EC", "CIGAR")
    return version < (4, 3) and number == "." and key in over_alleles


def _alt_defects(line: MetaLine) -> Iterator[str]:
    name = line.get("ID") or ""
    if re.search(r"[\s,<>]", name):
        yield f"the ID {name!r} holds white space, a comma or an angle bracket"
    elif name and name.split(":")[0] not in ALT_PREFIXES and not name.startswith("CN"):
        yield f"the ID {name!r} begins with none of the structural variant types"
    number, type_ = line.get("Number"), line.get("Type")
    if number is not None and not _NUMBER.match(number):
        yield f"Number={number} of {name} is no number of values"
    if type_ is not None and type_ not in _TYPES["INFO"]:
        yield f"Type={type_} of {name} is no type"


def _name_defects(line: MetaLine) -> Iterator[str]:
    name = line.get("ID") or ""
    # HLA contigs of every GRCh38 header have a star in their names, which only later versions of the text allow.
    if name and (not _CONTIG_ID.match(name) or ("*" in name and not name.startswith("HLA-"))):
        yield f"the ID {name!r} holds a character that names may not have"
    length = line.get("length")
    if line.key == "contig" and length is not None and not length.isdigit():
        yield f"the length of {name} is not a number: {length!r}"


def _sample_defects(line: MetaLine, version: tuple[int, int]) -> Iterator[str]:
    """Up to 4.2 a sample line has Genomes, Mixture and Description (section 1.2.8), and only the last is quoted."""
    if version >= (4, 3):
        return
    if line.get("Genomes") is None:
        yield "no Genomes"
    for key, value in line.pairs or ():
        if key != "Description" and '"' in value:
            yield f"{key} holds a double quote"


def _meta_defects(line: MetaLine) -> Iterator[str]:
    number, type_, values = line.get("Number"), line.get("Type"), line.get("Values")
    if next((key for key, _ in line.pairs or ()), None) != "ID":
        yield "the order is not ID, Number, Type, Values"
    if number is not None and not _NUMBER.match(number):
        yield f"Number={number} is no number of values"
    if type_ is not None and type_ not in _TYPES["INFO"]:
        yield f"Type={type_} is no type"
    if values is not None and not (values.startswith("[") and values.endswith("]")):
        yield "Values are not in square brackets"


def _pedigree_defects(line: MetaLine, version: tuple[int, int]) -> Iterator[str]:
    if version >= (4, 3) and not line.get("ID"):
        yield "no ID"
    for key, value in line.pairs or ():
        if not re.match(r'^(?:[\w.-]+|"[^"]*")$', value):
            yield f"{key} has a value with an illegal character: {value!r}"
