"""schemas/openapi.yaml, strictly: what an answer of the API may be, and nothing else."""

import os
import re

import jsonschema
import yaml

from harness_client import PROBLEMS
from harness_services import ROOT

# What HTTP itself puts into an answer.
TRANSPORT = {"date", "content-length", "connection", "content-type"}
PREFLIGHT = {"allow", "access-control-allow-methods", "access-control-allow-headers", "access-control-max-age"}
REFUSED = {400, 431, 503}       # what any call answers without looking at it
NO_CALL = {404: {"not-found"}, 405: {"method-not-allowed"}}     # what a path or a method answers that there is not
METHODS = ("get", "post", "put", "patch", "delete")


class Contract:
    def __init__(self):
        with open(os.path.join(ROOT, "schemas", "openapi.yaml"), encoding="utf-8") as source:
            self.document = yaml.safe_load(source)
        self.table = PROBLEMS
        self.refused = self.document["components"]["responses"]["Refused"]
        self.seen = set()       # (operationId, status) of each answer that was checked
        self.problems = set()   # (operationId, status, type) of each problem among them
        self.limits = set()     # (operationId, name of the limit) of each 429 among them
        self.members = {}       # by the name of a schema: which members its objects had in those answers

    def resolve(self, part):
        while "$ref" in part:
            found = self.document
            for name in part["$ref"].removeprefix("#/").split("/"):
                found = found[name.replace("~1", "/")]
            part = found
        return part

    def operations(self):
        """(path, method, operation), each."""
        return [(path, method, item[method]) for path, item in self.document["paths"].items()
                for method in METHODS if method in item]

    def documented(self):
        """(operationId, status) of each answer that is described."""
        return {(operation["operationId"], status) for _, _, operation in self.operations()
                for status in operation["responses"] if status != "default"}

    def types(self, response, status):
        """The types of problems with this status that the description of an answer names."""
        named = re.findall(r"`([a-z-]+)`", self.resolve(response).get("description", ""))
        return {name for name in named if self.table.get(f"/problems/{name}", (0,))[0] == int(status)}

    def documented_problems(self):
        """(operationId, status, type) of each problem that a call is said to answer with, once looked at."""
        return {(operation["operationId"], status, name) for _, _, operation in self.operations()
                for status, response in operation["responses"].items() if status != "default"
                for name in self.types(response, status)}

    def documented_limits(self):
        """(operationId, name) of each limit that a call is said to be refused by."""
        return {(operation["operationId"], name) for _, _, operation in self.operations()
                for name in self.limits_of(operation["responses"].get("429", {}))}

    def limits_of(self, response):
        return set(re.findall(r'`"([a-z]+)"`', self.resolve(response).get("description", "")))

    def operation(self, method, path):
        method = "get" if method == "HEAD" else method.lower()
        given = path.partition("?")[0].split("/")
        for template, item in self.document["paths"].items():
            wanted = template.split("/")
            if len(wanted) == len(given) and all(a == b or a.startswith("{") and b for a, b in zip(wanted, given)):
                return item.get(method)
        return None

    def _response(self, operation, method, status):
        """What is written about this answer, and which headers it may have besides."""
        refused = self.refused
        if method == "OPTIONS" and status == 204:
            return {"headers": {name: value for name, value in refused["headers"].items()
                                if name not in ("Retry-After", "Cache-Control")}}, PREFLIGHT
        if operation is None or status == 405:
            assert status in REFUSED | {404, 405}, f"{method}: undocumented {status}"
            return refused, {"allow"} if status == 405 else set()
        if str(status) in operation["responses"]:
            self.seen.add((operation["operationId"], str(status)))
            return self.resolve(operation["responses"][str(status)]), set()
        assert status in REFUSED, f"{operation['operationId']}: undocumented {status}"
        return refused, set()

    def _check_headers(self, described, besides, answer):
        headers = {name.lower(): self.resolve(value) for name, value in described.get("headers", {}).items()}
        names = [name.lower() for name in answer.headers.keys()]
        assert len(names) == len(set(names)), f"a header stands twice: {names}"
        strange = set(names) - set(headers) - TRANSPORT - besides
        assert not strange, f"undocumented headers {strange}: {answer}"
        for name, header in headers.items():
            value = answer.headers[name]
            if value is None:
                assert not header.get("required"), f"{name} is absent: {answer}"
                continue
            schema = self.resolve(header["schema"])
            self.validate(int(value) if schema["type"] == "integer" else value, schema)

    def validate(self, value, schema):
        jsonschema.validate(value, {**self.document, **schema})

    def _note(self, schema, value):
        name, schema = schema.get("$ref", "").rpartition("/")[2], self.resolve(schema)
        if isinstance(value, list):
            for each in value:
                self._note(schema.get("items", {}), each)
        elif isinstance(value, dict):
            if name:
                self.members.setdefault(name, set()).update(value)
            for part in schema.get("allOf", []):
                self._note(part, value)
            for member, part in schema.get("properties", {}).items():
                self._note(part, value.get(member))

    def _check_problem(self, operation, described, answer):
        """Its type is one that the document names for this answer; its status is that of the type."""
        name = answer.json["type"].rpartition("/")[2]
        named = NO_CALL[answer.status] if described is self.refused and answer.status in NO_CALL else (
            self.types(described, answer.status))
        if answer.status in REFUSED:
            named = named | self.types(self.refused, answer.status)
        assert name in named, f"undocumented type {name}: {answer}"
        assert self.table[answer.json["type"]] == (answer.status, answer.json["title"]), answer
        if operation:
            self.problems.add((operation["operationId"], str(answer.status), name))
        if answer.status == 429:
            limit = answer.headers["RateLimit"].split('"')[1]
            assert limit in self.limits_of(described), f"undocumented limit {limit}: {answer}"
            self.limits.add((operation["operationId"], limit))

    def check(self, method, path, answer):
        """The status, each header and each member of this answer is described, and what must be there is there."""
        operation = self.operation(method, path)
        described, besides = self._response(operation, method, answer.status)
        self._check_headers(described, besides, answer)
        if answer.headers["Content-Type"] == "application/problem+json" and method != "HEAD":
            self._check_problem(operation, described, answer)
        content = described.get("content")
        if content is None or method == "HEAD":
            assert not answer.body, answer
            return
        schema = content[answer.headers["Content-Type"]]["schema"]
        value = answer.body.decode() if schema.get("type") == "string" else answer.json
        self.validate(value, schema)
        self._note(schema, value)

    def loose_objects(self):
        """Where an answer's schema would let an undocumented member pass."""
        found = []

        def look(schema, place, known, closed=False):
            if "$ref" in schema:
                if schema["$ref"] in known:
                    return
                known = known | {schema["$ref"]}
                schema, place = {**self.resolve(schema), **schema}, schema["$ref"]
            closed = closed or schema.get("unevaluatedProperties") is False
            if schema.get("type") == "object" and schema.get("additionalProperties") is not False and not closed:
                found.append(place)
            for part in schema.get("allOf", []):
                look(part, place, known, closed)
            for name, part in schema.get("properties", {}).items():
                look(part, f"{place}/{name}", known)
            if "items" in schema:
                look(schema["items"], f"{place}/items", known)
        for _, _, operation in self.operations():
            for status, response in operation["responses"].items():
                for media in self.resolve(response).get("content", {}).values():
                    look(media["schema"], f"{operation['operationId']} {status}", frozenset())
        return sorted(set(found))
