"""The service under test and its database, and what both documents say, read as any client would."""

import copy
import os
import re

import pg8000.native
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from jsonschema import Draft202012Validator, ValidationError, validators

SERVICE = os.environ["SERVICE_URL"].rstrip("/")

# Nothing is kept from run to run, and the machine may be busy.
settings.register_profile(
    "contract",
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("contract")


def database():
    """A connection of our own."""
    return pg8000.native.Connection(
        os.environ["PGUSER"], os.environ["PGHOST"], os.environ["PGDATABASE"], int(os.environ["PGPORT"])
    )


def fetch(path):
    response = requests.get(SERVICE + path, timeout=30)
    response.raise_for_status()
    return response.json()


@pytest.fixture(scope="session")
def openapi():
    return fetch("/openapi.json")


@pytest.fixture(scope="session")
def asyncapi():
    return fetch("/asyncapi.json")


@pytest.fixture
def slot():
    """A new stream."""
    response = requests.post(f"{SERVICE}/v1/init", timeout=30)
    response.raise_for_status()
    return response.json()["slotName"]


def _pattern(validator, pattern, value, schema):
    """As JSON Schema means it: to Python, `$` is before a line break at the end, too."""
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_Validator = validators.extend(Draft202012Validator, {"pattern": _pattern})


def validator(schema, document=None):
    """A validator of a schema, with references into a document."""
    components = (document or {}).get("components", {})
    return _Validator({**schema, "components": components}, format_checker=_Validator.FORMAT_CHECKER)


def reference(name):
    return {"$ref": f"#/components/schemas/{name}"}


def operation_with_body(schema, document):
    """An operation that takes this as its body: whatever can be generated for that, can be sent elsewhere too."""
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    paths = {"/": {"post": {"requestBody": body, "responses": {"200": {"description": "Done."}}}}}
    components = copy.deepcopy(document["components"])
    info = {"title": "Something with a body", "version": "1"}
    raw = {"openapi": "3.1.1", "info": info, "paths": paths, "components": components}
    return schemathesis.openapi.from_dict(raw)["/"]["POST"]
