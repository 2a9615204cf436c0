"""A function app's folder: host.json and one folder with a function.json per function."""

import dataclasses
import pathlib
import re

from . import json_text
from .routes import RouteTemplate, TemplateError


class AppError(Exception):
    """The folder is not a function app that the host could start; the text names the file."""


@dataclasses.dataclass(frozen=True)
class Binding:
    name: str
    type: str
    direction: str
    data_type: str | None
    raw: dict

    @property
    def is_trigger(self):
        return self.type.lower().endswith("trigger")

    @property
    def is_binary(self):
        return (self.data_type or "").lower() == "binary"


@dataclasses.dataclass(frozen=True)
class Function:
    name: str
    folder: pathlib.Path | None
    bindings: tuple
    retry: dict | None = None
    route: RouteTemplate | None = None
    methods: frozenset | None = None  # upper case; None: all

    @classmethod
    def from_json(cls, name, document, folder=None, route_prefix="api"):
        """A Function from the content of its function.json. ValueError says what is wrong."""
        bindings = tuple(_read_binding(raw) for raw in _expect(document, "bindings", list))
        triggers = [binding for binding in bindings if binding.is_trigger]
        if len(triggers) != 1:
            raise ValueError(f"has {len(triggers)} triggers; exactly one is needed")
        function = cls(name, folder, bindings, _member(document, "retry"))
        if not function.is_http:
            return function
        text = str(_member(triggers[0].raw, "route") or "").strip("/") or name
        text = f"{route_prefix.strip('/')}/{text}" if route_prefix.strip("/") else text
        try:
            route = RouteTemplate(text)
        except TemplateError as error:
            raise ValueError(f"route '{text}': {error}") from error
        methods = _member(triggers[0].raw, "methods")
        return dataclasses.replace(function, route=route,
                                   methods=frozenset(str(m).upper() for m in methods) if methods else None)

    @property
    def trigger(self):
        return next(binding for binding in self.bindings if binding.is_trigger)

    @property
    def inputs(self):
        return [binding for binding in self.bindings if binding.direction != "out"]

    @property
    def outputs(self):
        return [binding for binding in self.bindings if binding.direction != "in"]

    @property
    def is_http(self):
        return self.trigger.type.lower() == "httptrigger"

    @property
    def is_http_in_and_out(self):
        """Forwarding and proxying are for these only: one HTTP trigger, one HTTP output, nothing else."""
        return (self.is_http and len(self.inputs) == 1 and len(self.outputs) == 1
                and self.outputs[0].type.lower() == "http")

    @property
    def sample(self):
        """The bytes of sample.dat, or None."""
        path = self.folder and self.folder / "sample.dat"
        return path.read_bytes() if path and path.is_file() else None


@dataclasses.dataclass(frozen=True)
class App:
    root: pathlib.Path
    functions: tuple
    route_prefix: str = "api"
    enable_forwarding: bool = False
    enable_proxying: bool = False  # wins over forwarding
    function_timeout_s: float | None = None
    initialization_timeout_s: float = 30.0
    executable: str = ""
    arguments: tuple = ()
    working_directory: pathlib.Path | None = None
    use_stderr_for_errors_only: bool = True
    warnings: tuple = ()

    @classmethod
    def load(cls, root):
        """Reads the folder. AppError says which file is wrong and how."""
        root = pathlib.Path(root).resolve()
        host_path = root / "host.json"
        host = _read_json(host_path)
        try:
            settings = _host_settings(host)
        except ValueError as error:
            raise AppError(f"{host_path}: {error}") from error
        directory = settings.pop("working_directory")
        functions = []
        for path in sorted(root.glob("*/function.json")):
            document = _read_json(path)
            if _member(document, "disabled") is True:
                continue
            try:
                functions.append(Function.from_json(path.parent.name, document, path.parent,
                                                    settings["route_prefix"]))
            except ValueError as error:
                raise AppError(f"{path}: {error}") from error
        # the host's order; the first route that matches wins, whatever is more specific
        functions.sort(key=lambda function: function.name.lower())
        if not functions:
            raise AppError(f"{root}: no function.json one folder below")
        return cls(root=root, functions=tuple(functions), working_directory=root / directory, **settings)

    def function(self, name):
        """The function of that name in any case. KeyError where there is none."""
        for function in self.functions:
            if function.name.lower() == name.lower():
                return function
        raise KeyError(name)


def _host_settings(host):
    handler = _member(host, "customHandler")
    if not isinstance(handler, dict):
        raise ValueError("has no section customHandler")
    description = _expect(handler, "description", dict)
    executable = _expect(description, "defaultExecutablePath", str)
    if not executable:
        raise ValueError("customHandler.description.defaultExecutablePath is empty")
    http = _member(_member(host, "extensions") or {}, "http") or {}
    is_mcp = str(_member(host, "configurationProfile")).lower() == "mcp-custom-handler"
    prefix = _member(http, "routePrefix")
    errors_only = _member(description, "useStdErrorStreamForErrorsOnly")
    warnings = []
    if is_mcp or _member(_member(handler, "http") or {}, "routes"):
        warnings.append("functions without a function.json are not simulated: neither customHandler.http.routes nor "
                        "the route {*route} of a profile")
    proxying = _member(handler, "enableProxyingHttpRequest")
    initialization = _member(handler, "initializationTimeout")
    return {
        "route_prefix": ("" if is_mcp else "api") if prefix is None else str(prefix),
        "enable_forwarding": _is_true(_member(handler, "enableForwardingHttpRequest")),
        "enable_proxying": is_mcp if proxying is None else _is_true(proxying),
        "function_timeout_s": _seconds(_member(host, "functionTimeout"), "functionTimeout"),
        "initialization_timeout_s": 30.0 if initialization is None
        else _seconds(initialization, "customHandler.initializationTimeout") or 30.0,
        "executable": executable,
        "arguments": tuple(str(item) for item in _member(description, "arguments") or ()),
        "working_directory": str(_member(description, "workingDirectory") or "."),
        "use_stderr_for_errors_only": errors_only is None or _is_true(errors_only),
        "warnings": tuple(warnings),
    }


def _is_true(value):
    return value is True or str(value).lower() == "true"


def _seconds(text, name):
    """Seconds of a time span such as 00:05:00 or 1.02:00:00; None for no limit."""
    if text is None or str(text) == "-1":
        return None
    match = re.fullmatch(r"(?:(\d+)\.)?(\d+):(\d+)(?::(\d+(?:\.\d+)?))?", str(text))
    if not match:
        raise ValueError(f"{name} '{text}' is not a time span such as 00:05:00")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _read_binding(raw):
    if not isinstance(raw, dict):
        raise ValueError("a binding is not an object")
    data_type = _member(raw, "dataType")
    direction = str(_member(raw, "direction") or "in").lower()
    return Binding(_expect(raw, "name", str), _expect(raw, "type", str), direction,
                   None if data_type is None else str(data_type), raw)


def _member(document, name):
    """A member by its name in any case, as the host looks settings up."""
    for key, value in document.items():
        if key.lower() == name.lower():
            return value
    return None


def _expect(document, name, kind):
    value = _member(document, name)
    if not isinstance(value, kind):
        raise ValueError(f"has no {name}" if value is None else f"{name} is not a {kind.__name__}")
    return value


def _read_json(path):
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise AppError(f"{path}: not found") from error
    except (OSError, UnicodeDecodeError) as error:
        raise AppError(f"{path}: {error}") from error
    try:
        document = json_text.parse(text, dates=False)
    except json_text.JsonError as error:
        raise AppError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise AppError(f"{path}: is not a JSON object")
    return document
