"""Checks a JSON value against the part of JSON schema that the log's channels use."""

from __future__ import annotations

from typing import Any

_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def conforms(value: Any, schema: dict[str, Any]) -> bool:
    """Whether `value` is what `schema` describes; a property that the schema does not name is a fault."""
    if "anyOf" in schema:
        return any(conforms(value, each) for each in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if not isinstance(value, _TYPES[schema["type"]]):
        return False
    if schema["type"] == "array":
        return all(conforms(item, schema["items"]) for item in value)
    if schema["type"] == "object":
        named, rest = schema.get("properties", {}), schema.get("additionalProperties")
        return all(name in named or rest for name in value) and all(
            conforms(item, named.get(name, rest)) for name, item in value.items()
        )
    return True
