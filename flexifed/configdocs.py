"""What is generated from the configuration's classes: the JSON schema and the key tables of `config/README.md`."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from flexifed.config import Study
from flexifed.files import complete
from flexifed.protocol import Protocol

CONFIG = Path(__file__).parent.parent / "config"
BEGIN, END = "<!-- generated: python -m flexifed schema -->", "<!-- end of generated -->"


def schema() -> dict[str, Any]:
    """JSON schema of a study. Protocols are open here, since a study may override any part of a preset."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}


def _type(node: dict[str, Any]) -> str:
    if "$ref" in node:
        return f"see *{node['$ref'].split('/')[-1]}*"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "anyOf" in node:
        return " or ".join(_type(option) for option in node["anyOf"] if option.get("type") != "null")
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}" if node.get("items") else "list"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {node[key]:g}" for key, sign in bounds.items() if key in node]
    return " ".join([node.get("type", "any"), *limits])


def _table(title: str, node: dict[str, Any]) -> str:
    rows = [f"### {title}", "", node.get("description", "").split("\n")[0], ""]
    rows += ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    needed = node.get("required", [])
    for key, value in node["properties"].items():
        default = "needed" if key in needed else f"`{json.dumps(value['default'])}`" if "default" in value else ""
        rows.append(f"| `{key}` | {_type(value)} | {default} | {value.get('description', '')} |")
    return "\n".join([*rows, ""])


def tables() -> str:
    """Markdown tables of every key of a study and of a protocol."""
    parts = []
    for title, whole in (("Study", Study.model_json_schema()), ("Protocol", TypeAdapter(Protocol).json_schema())):
        parts.append(_table(title, whole))
        parts += [_table(name, node) for name, node in whole.get("$defs", {}).items() if "properties" in node]
    return "\n".join(parts)


def readme(text: str) -> str:
    """The text of `config/README.md` with its generated part brought up to date."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{rest.split(END)[1]}"


def write() -> list[Path]:
    """Rewrite the generated files; returns their paths."""
    contents = {
        CONFIG / "config.schema.json": json.dumps(schema(), indent=2) + "\n",
        CONFIG / "README.md": readme((CONFIG / "README.md").read_text()),
    }
    for path, text in contents.items():
        with complete(path) as partial:
            partial.write_text(text)
    return list(contents)
