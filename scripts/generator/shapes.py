"""specs/shapes/*.json to TypedDicts, by datamodel-code-generator.

Shapes are documents that are no HTTP operation: token answers, claims, discovery documents. Their fields keep
the names that are on the wire, and a value of such a type is a plain dict.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

from datamodel_code_generator import Error, GeneratedModules, InputFileType, LiteralType, generate
from datamodel_code_generator.enums import DataModelType
from datamodel_code_generator.format import PythonVersion

from .document import DocumentError

__all__ = ["modules"]


def modules(folder: Path, head: str) -> tuple[dict[str, str], dict[str, str]]:
    """Generate a module for each JSON Schema.

    Args:
        folder: where the schemas stand; `$ref` between them are file names.
        head: docstring of the modules, with `{}` for the name of the schema.

    Returns:
        File name -> text, and class name (the schema's title) -> module, for the front.

    Raises:
        DocumentError: a schema has no title of its own, or its generator warns.
    """
    titles: dict[str, str] = {}
    for file in sorted(folder.glob("*.json")):
        try:
            title = json.loads(file.read_bytes()).get("title")
        except ValueError as error:
            raise DocumentError(f"specs/shapes/{file.name}: {error}") from None
        if not title or title in titles:
            raise DocumentError(f"specs/shapes/{file.name}: needs a title of its own, which names the class")
        titles[title] = file.stem
    if not titles:
        return {}, {}

    try:
        result = _generate(folder)
    except (Error, OSError, ValueError, Warning) as error:
        raise DocumentError(f"specs/shapes: datamodel-code-generator cannot carry this into code: {error}") from None
    files = {"/".join(path): text for path, text in result.items() if path != ("__init__.py",)}
    for title, module in titles.items():
        text = files.get(f"{module}.py", "")
        if not any(form.format(title) in text for form in ("class {}(", "{} = TypedDict(", "{}: TypeAlias = ")):
            raise DocumentError(f"specs/shapes/{module}.json: no type {title} came out of the generator")
    for name, text in files.items():
        schema = name.removesuffix(".py")
        files[name] = text.replace("@@HEAD@@", head.format(f"{schema}.json"))
    return files, titles


def _generate(folder: Path) -> GeneratedModules:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = generate(
            folder,
            input_file_type=InputFileType.JsonSchema,
            output_model_type=DataModelType.TypingTypedDict,
            target_python_version=PythonVersion.PY_311,
            use_title_as_name=True,
            use_schema_description=True,
            use_field_description=True,
            use_closed_typed_dict=False,  # mypy does not know PEP 728 yet, and answers are open
            enum_field_as_literal=LiteralType.All,
            # A TypedDict describes JSON: whatever the format, the value is a text.
            type_mappings=[f"{name}=string" for name in ("date-time", "date", "time", "uri", "password", "uuid")],
            keep_model_order=True,
            strict_refs=True,
            allow_remote_refs=False,
            disable_timestamp=True,
            formatters=[],  # ruff formats the whole tree
            custom_file_header='"""@@HEAD@@"""',
        )
    if isinstance(result, dict):
        return result
    raise Error("expected a module for each schema")
