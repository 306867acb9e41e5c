"""The part of the google provider's schema that infra/terraform uses, taken from a package that carries all of it.

There is no way here to the provider itself. HashiCorp generated `cdktf-cdktf-provider-google` (49 MB) from provider
6.50.0; the JavaScript inside it has a class for each resource and each nested block, with a getter for each argument.
What infra/terraform uses of that is kept in `provider_schema.json`, in the form of `terraform providers schema -json`,
so that the tests need neither the wheel nor a network. Beside it, `values` are those that an argument may have, where
the package's documentation lists them. To make it anew, after using a resource type for the first time:

    pip download --no-deps --require-hashes -r tests/unit/terraform/provider_wheel.lock -d build/provider
    python -m tests.unit.terraform.extract_schema build/provider/*.whl
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROVIDER = "registry.terraform.io/hashicorp/google"
TERRAFORM = Path(__file__).parents[3] / "infra" / "terraform"
SCHEMA = Path(__file__).with_name("provider_schema.json")

_CLASS = re.compile(r"^class (\w+) extends cdktf\.\w+ \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
_GETTER = re.compile(r"^    get (?P<camel>\w+)\(\) \{\n        return (?P<code>.*?);\n    \}", re.MULTILINE)
_PRIMITIVE = re.compile(r"(?P<set>cdktf\.Fn\.tolist\()?this\.get(?P<kind>\w+)Attribute\('(?P<name>\w+)'\)")
_MADE = r"this\._{} = new (?P<cls>[\w.]+)\(this, \"(?P<name>\w+)\"(?:, (?P<set>true|false))?\)"
_TYPES: dict[str, Any] = {
    "String": "string", "Number": "number", "Boolean": "bool", "StringMap": ["map", "string"],
    "List": ["list", "string"], "NumberList": ["list", "number"],
    "cdktf.StringMap": ["map", "string"], "cdktf.BooleanMap": ["map", "bool"], "cdktf.NumberMap": ["map", "number"],
    "cdktf.StringMapList": ["list", ["map", "string"]],
}
_DEFAULTED = ("id", "project", "region", "location")
"""Optional arguments that the provider fills in. (Which others it does, the package does not tell.)"""


def used_types(folder: Path = TERRAFORM) -> set[tuple[str, str]]:
    """(`resource` or `data`, type) of every block in the folder's files."""
    found = re.compile(r'^(resource|data) "(google_\w+)"', re.MULTILINE)
    return {(kind, name) for file in folder.glob("*.tf") for kind, name in found.findall(file.read_text())}


def main() -> None:
    wheel = Path(sys.argv[1])
    sources = dict(_sources(wheel, "index.js"))
    documented = dict(_sources(wheel, "index.d.ts"))
    schemas: dict[str, dict[str, Any]] = {"resource": {}, "data": {}}
    for kind, name in sorted(used_types()):
        folder = ("data-" if kind == "data" else "") + name.replace("_", "-")
        folder = next((known for known in (folder, folder.replace("google-", "", 1)) if known in sources), "")
        if not folder:
            raise SystemExit(f"the provider has no {kind} {name}")
        schemas[kind][name] = {"version": 0, "block": _resource(sources[folder], documented[folder])}
    provider = {"version": 0, "block": _provider(sources["provider"])}
    SCHEMA.write_text(json.dumps({
        "format_version": "1.0",
        "made_from": {"file": wheel.name, "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()},
        "provider_schemas": {PROVIDER: {
            "provider": provider, "resource_schemas": schemas["resource"], "data_source_schemas": schemas["data"],
        }},
    }, indent=1, sort_keys=True) + "\n")


def _sources(wheel: Path, name: str) -> Iterator[tuple[str, str]]:
    """The folder's name and the text of each file of that name of the package inside the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        inner = next(file for file in archive.namelist() if file.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(archive.read(inner))) as package:
            for member in package:
                file = package.extractfile(member) if member.name.endswith(f"/{name}") else None
                if file is not None:
                    yield member.name.split("/")[-2], file.read().decode()


def _resource(text: str, documentation: str) -> dict[str, Any]:
    """The block of the one resource or data source that the file defines: its last class."""
    classes = dict(_CLASS.findall(text))
    name = list(classes)[-1]
    block = _block(name, classes)
    _add_values(block, f"{name}Config", name, documentation)
    return block


def _add_values(block: dict[str, Any], interface: str, prefix: str, documentation: str) -> None:
    """Of each argument that an interface documents as having one of some values, those values."""
    found = re.search(rf"^export interface {interface} .*?^\}}", documentation, re.MULTILINE | re.DOTALL)
    for comment in re.findall(r"/\*\*.*?\*/", found[0], re.DOTALL) if found else ():
        values, argument = re.search(r"Possible values: (\[.*?\])", comment), re.search(r"#(\w+) \w+#", comment)
        if values and argument and argument[1] in block["attributes"]:
            block["attributes"][argument[1]]["values"] = json.loads(values[1])
    for name, nested in block["block_types"].items():
        inner = prefix + "".join(word.capitalize() for word in name.split("_"))
        _add_values(nested["block"], inner, inner, documentation)


def _provider(text: str) -> dict[str, Any]:
    """Of its arguments the plain ones: that class has setters alone, and all are optional."""
    plain = dict.fromkeys(re.findall(r"^            (\w+): cdktf\.stringToTerraform\(", text, re.MULTILINE), "string")
    maps = re.findall(r"^            (\w+): cdktf\.hashMapper\(", text, re.MULTILINE)
    kinds = {**plain, **{name: ["map", "string"] for name in maps}}
    attributes = {name: {"type": kind, "optional": True} for name, kind in kinds.items()}
    return {"attributes": attributes, "block_types": {}}


def _block(name: str, classes: dict[str, str]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    blocks: dict[str, Any] = {}
    body = classes[name]
    for getter in _GETTER.finditer(body):
        camel = getter["camel"]
        flags = _flags(camel, body)
        if primitive := _PRIMITIVE.match(getter["code"]):
            kind = _TYPES[primitive["kind"]]
            attributes[primitive["name"]] = {"type": ["set", kind[1]] if primitive["set"] else kind, **flags}
        elif made := re.search(_MADE.format(camel), body):
            if made["cls"] in _TYPES:
                attributes[made["name"]] = {"type": _TYPES[made["cls"]], **flags}
            elif flags == {"computed": True}:
                attributes[made["name"]] = {"type": [_collection(made), _object(_inner(made, classes))], **flags}
            else:
                blocks[made["name"]] = _nested(made, flags, classes)
    return {"attributes": attributes, "block_types": blocks}


def _flags(camel: str, body: str) -> dict[str, bool]:
    """What can be reset is optional, what can only be set is required, what has neither is computed."""
    capital = camel[0].upper() + camel[1:]
    if f"    reset{capital}()" in body:
        return {"optional": True, **({"computed": True} if camel in _DEFAULTED else {})}
    if f"    set {camel}(" in body or f"    put{capital}(" in body:
        return {"required": True}
    return {"computed": True}


def _nested(made: re.Match[str], flags: dict[str, bool], classes: dict[str, str]) -> dict[str, Any]:
    if made["name"] == "timeouts":
        return {"nesting_mode": "single", "block": _inner(made, classes)}
    bounds = {**({"min_items": 1} if "required" in flags else {}), **({} if _many(made) else {"max_items": 1})}
    return {"nesting_mode": _collection(made), "block": _inner(made, classes), **bounds}


def _inner(made: re.Match[str], classes: dict[str, str]) -> dict[str, Any]:
    return _block(f"{made['cls'].removesuffix('List')}OutputReference" if _many(made) else made["cls"], classes)


def _many(made: re.Match[str]) -> bool:
    return made["cls"].endswith("List")


def _collection(made: re.Match[str]) -> str:
    return "set" if made["set"] == "true" else "list"


def _object(block: dict[str, Any]) -> list[Any]:
    return ["object", {name: attribute["type"] for name, attribute in block["attributes"].items()}]


if __name__ == "__main__":
    main()
