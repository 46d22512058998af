"""Prints the types of all that crosses the wire, as the JSON Schemas in ../../schemas have it: python generate.py > generated.py"""

import json
from pathlib import Path

from datamodel_code_generator import Formatter, InputFileType, LiteralType, PythonVersion, generate
from datamodel_code_generator.enums import DataModelType

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
SENT = ["snapshot-data-request", "stream-query", "acknowledgement"]
RECEIVED = ["init-response", "events-message", "notice", "stream-error", "problem"]
FRAMES = ["EventsMessage", "NoticeMessage", "StreamError"]


def together() -> str:
    """All schemas as one, each under its title, so that one module has them all."""
    definitions: dict[str, object] = {}
    for name in SENT + RECEIVED:
        schema = json.loads((SCHEMAS / f"{name}.json").read_text())
        definitions |= schema.pop("$defs", {})
        definitions[schema["title"]] = {key: value for key, value in schema.items() if key not in ("$id", "$schema")}
    frame = {"title": "Frame", "description": "What comes over the websocket.", "oneOf": [{"$ref": f"#/$defs/{title}"} for title in FRAMES]}
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": definitions, **frame})


print(
    generate(
        together(),
        input_file_type=InputFileType.JsonSchema,
        # What comes stays as it came: dictionaries with types, which cost nothing at run time.
        output_model_type=DataModelType.TypingTypedDict,
        target_python_version=PythonVersion.PY_311,
        enum_field_as_literal=LiteralType.All,
        use_closed_typed_dict=False,
        use_title_as_name=True,
        use_schema_description=True,
        use_field_description=True,
        use_type_alias=True,
        use_standard_collections=True,
        use_union_operator=True,
        formatters=[Formatter.BUILTIN],
        custom_file_header="# Generated from ../../schemas by generate.py. Do not edit.",
    ),
    end="",
)
