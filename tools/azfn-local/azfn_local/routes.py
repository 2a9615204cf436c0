"""Route templates of httpTrigger bindings, matched as the host's router (ASP.NET Core) matches them.

    RouteTemplate("api/items/{id:int}/{name?}").match("/api/items/7")  ->  {"id": "7", "name": None}

Paths are decoded ones; %2F stays in them. A match holds every parameter of the template, None where an
optional one is missing.
"""

import dataclasses

from .constraints import make_constraint, plausible_value


class TemplateError(ValueError):
    """The host would not accept this template."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    name: str
    constraints: tuple = ()  # (name, arguments or None)
    default: str | None = None
    optional: bool = False
    catch_all: bool = False

    def accepts(self, value):
        return all(make_constraint(*constraint)(value) for constraint in self.constraints)


class RouteTemplate:
    def __init__(self, text):
        self.text = text
        self.segments = [_parse_segment(part) for part in _split_segments(text)] if text else []
        self.parameters = [part for segment in self.segments for part in segment if isinstance(part, Parameter)]
        self._check()

    def match(self, path):
        """The parameters' values by name, or None."""
        values = {parameter.name: parameter.default for parameter in self.parameters}
        rest = path[1:] if path.startswith("/") else path
        pieces = rest.split("/") if rest else []
        if pieces and pieces[-1] == "":
            pieces.pop()  # one slash at the end does not count
        for index, segment in enumerate(self.segments):
            first = segment[0]
            if isinstance(first, Parameter) and first.catch_all:
                if index < len(pieces):
                    # the rest as it is, with a slash at the end and empty segments
                    values[first.name] = rest.split("/", index)[index]
                return self._checked(values)
            if index >= len(pieces):
                if not all(_may_be_missing(later) for later in self.segments[index:]):
                    return None
                return self._checked(values)
            if pieces[index] == "" or not _match_segment(segment, pieces[index], values):
                return None
        return self._checked(values) if len(pieces) <= len(self.segments) else None

    def example(self):
        """A path that matches, with plausible values."""
        parts = []
        for segment in self.segments:
            parts.append("".join(part if isinstance(part, str)
                                 else part.default or plausible_value(part.constraints) for part in segment))
        return "/" + "/".join(parts)

    def _checked(self, values):
        for parameter in self.parameters:
            value = values[parameter.name]
            if value is None and (parameter.optional or not parameter.constraints):
                continue
            if value is None or not parameter.accepts(value):
                return None
        return values

    def _check(self):
        names = [parameter.name.lower() for parameter in self.parameters]
        if len(set(names)) != len(names):
            raise TemplateError("a parameter is named twice")
        for index, segment in enumerate(self.segments):
            for position, part in enumerate(segment):
                if not isinstance(part, Parameter):
                    continue
                if position and isinstance(segment[position - 1], Parameter):
                    raise TemplateError("two parameters need text between them")
                if part.catch_all and (len(segment) > 1 or index + 1 < len(self.segments)):
                    raise TemplateError("a catch-all parameter must be the whole last segment")
                if part.optional and len(segment) > 1 and (position + 1 < len(segment) or segment[position - 1] != "."):
                    raise TemplateError("an optional parameter in a segment must be its last part, after a '.'")


def match_function(functions, method, path):
    """(function, values) of the first function in the list that takes this request, or (None, None)."""
    for function in functions:
        if function.route is None or (function.methods and method.upper() not in function.methods):
            continue
        values = function.route.match(path)
        if values is not None:
            return function, values
    return None, None


def _may_be_missing(segment):
    first = segment[0]
    return len(segment) == 1 and isinstance(first, Parameter) and (
        first.optional or first.catch_all or first.default is not None)


def _match_segment(parts, text, values):
    if len(parts) == 1:
        if isinstance(parts[0], str):
            return parts[0].lower() == text.lower()
        values[parts[0].name] = text
        return True
    last = parts[-1]
    if isinstance(last, Parameter) and last.optional:
        if text.endswith("."):
            return False
        return _match_parts(parts, text, values) or _match_parts(parts[:-2], text, values)
    return _match_parts(parts, text, values)


def _match_parts(parts, text, values):
    """Matches from the right: {a}.{b} splits x.y.z into x.y and z. Each parameter takes at least a character."""
    found = {}
    end = len(text)
    pending = None
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, Parameter):
            pending = part
            continue
        limit = end - 1 if pending else end
        position = text[:max(limit, 0)].lower().rfind(part.lower())
        if position < 0 or (index == len(parts) - 1 and position + len(part) != len(text)):
            return False
        if pending:
            found[pending.name] = text[position + len(part):end]
            pending = None
        end = position
    if pending:
        if end == 0:
            return False
        found[pending.name] = text[:end]
        end = 0
    values.update(found)
    return end == 0


def _split_segments(text):
    """Splits at slashes outside of braces; {{ and }} are literal braces."""
    segments, depth, start, index = [], 0, 0, 0
    while index < len(text):
        if text[index:index + 2] in ("{{", "}}"):
            index += 2
            continue
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if text[index] == "/" and depth == 0:
            segments.append(text[start:index])
            start = index + 1
        index += 1
    segments.append(text[start:])
    if depth:
        raise TemplateError("braces do not pair")
    if "" in segments:
        raise TemplateError("an empty segment")
    return segments


def _parse_segment(text):
    parts, literal, index = [], "", 0
    while index < len(text):
        if text[index:index + 2] in ("{{", "}}"):
            literal += text[index]
            index += 2
        elif text[index] == "{":
            end = index + 1
            while end < len(text) and (text[end] != "}" or text[end:end + 2] == "}}"):
                end += 2 if text[end:end + 2] in ("{{", "}}") else 1
            if end >= len(text):
                raise TemplateError("braces do not pair")
            if literal:
                parts.append(literal)
                literal = ""
            parts.append(_parse_parameter(text[index + 1:end].replace("{{", "{").replace("}}", "}")))
            index = end + 1
        else:
            literal += text[index]
            index += 1
    return parts + [literal] if literal else parts


def _parse_parameter(text):
    stripped = text.lstrip("*")
    catch_all = stripped != text
    if len(text) - len(stripped) > 2:
        raise TemplateError(f"too many '*' in '{{{text}}}'")
    tokens, default = _split_constraints(stripped)
    name, *constraints = tokens
    optional = False
    if default is not None and default.endswith("?"):
        raise TemplateError("an optional parameter can't have a default")
    if default is None and (constraints[-1] if constraints else name).endswith("?"):
        optional = True
        tokens[-1] = tokens[-1][:-1]
        name, *constraints = tokens
    if not name or any(character in "/{}?*" for character in name):
        raise TemplateError(f"bad parameter name '{name}'")
    if catch_all and optional:
        raise TemplateError("a catch-all parameter can't be optional")
    pairs = []
    for constraint in constraints:
        head, parenthesis, arguments = constraint.partition("(")
        pairs.append((head, arguments[:-1] if parenthesis else None))
        try:
            make_constraint(*pairs[-1])
        except ValueError as error:
            raise TemplateError(str(error)) from error
    return Parameter(name, tuple(pairs), default, optional, catch_all)


def _split_constraints(text):
    """name:int:range(1,2)=5 -> (["name", "int", "range(1,2)"], "5"); nothing is special inside parentheses."""
    tokens, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and character == ":":
            tokens.append(text[start:index])
            start = index + 1
        if depth == 0 and character == "=":
            return tokens + [text[start:index]], text[index + 1:]
    return tokens + [text[start:]], None
