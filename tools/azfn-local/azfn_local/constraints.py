"""The inline constraints of route templates: int, range(1,9), regex(^a+$) and so on.

Values are read as .NET reads them with the invariant culture.
"""

import datetime
import re

_INT32 = (-2**31, 2**31 - 1)
_INT64 = (-2**63, 2**63 - 1)
_HEX = "[0-9A-Fa-f]"
_GUID = re.compile(rf"{_HEX}{{32}}|{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}"
                   rf"|[{{(]{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}[)}}]")
_DECIMAL = re.compile(r"\s*[+-]?(?:\d[\d,]*(?:\.\d*)?|\.\d+)\s*[+-]?\s*", re.ASCII)
_DOUBLE = re.compile(r"\s*[+-]?(?:(?:\d[\d,]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|Infinity|NaN|∞)\s*", re.ASCII)
_DATE_FORMATS = ("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p",
                 "%Y/%m/%d", "%Y-%m", "%Y-%m-%d %H:%M", "%d %B %Y", "%B %d, %Y", "%d %b %Y", "%H:%M", "%H:%M:%S")


def _integer(limits):
    def check(value):
        return bool(re.fullmatch(r"\s*[+-]?\d+\s*", value, re.ASCII)) and limits[0] <= int(value) <= limits[1]
    return check


_is_long = _integer(_INT64)


def _is_datetime(value):
    try:
        datetime.datetime.fromisoformat(value.strip())
        return not value.strip().isdigit()
    except ValueError:
        pass
    for form in _DATE_FORMATS:
        try:
            datetime.datetime.strptime(value.strip(), form)
            return True
        except ValueError:
            continue
    return False


_SIMPLE = {
    "int": _integer(_INT32),
    "long": _is_long,
    "bool": lambda value: value.strip().lower() in ("true", "false"),
    "datetime": _is_datetime,
    "decimal": lambda value: bool(_DECIMAL.fullmatch(value)),
    "double": lambda value: bool(_DOUBLE.fullmatch(value)),
    "float": lambda value: bool(_DOUBLE.fullmatch(value)),
    "guid": lambda value: bool(_GUID.fullmatch(value.strip())),
    "alpha": lambda value: bool(re.fullmatch(r"[A-Za-z]*", value)),
    "required": lambda value: value != "",
}


def _numbers(arguments, count):
    numbers = [int(part) for part in arguments.split(",")]
    if len(numbers) not in count:
        raise ValueError
    return numbers


def make_constraint(name, arguments):
    """A function from a value's text to whether it passes. ValueError: no such constraint, or bad arguments."""
    name = name.lower()
    if arguments is None:
        if name in _SIMPLE:
            return _SIMPLE[name]
        raise ValueError(f"no constraint '{name}'")
    try:
        if name == "regex":
            pattern = re.compile(arguments, re.IGNORECASE)
            return lambda value: bool(pattern.search(value))
        if name == "length":
            low, *high = _numbers(arguments, (1, 2))
            return lambda value: low <= len(value) <= (high[0] if high else low)
        if name == "minlength":
            low, = _numbers(arguments, (1,))
            return lambda value: len(value) >= low
        if name == "maxlength":
            high_limit, = _numbers(arguments, (1,))
            return lambda value: len(value) <= high_limit
        if name == "min":
            low, = _numbers(arguments, (1,))
            return lambda value: _is_long(value) and int(value) >= low
        if name == "max":
            high_limit, = _numbers(arguments, (1,))
            return lambda value: _is_long(value) and int(value) <= high_limit
        if name == "range":
            low, high_limit = _numbers(arguments, (2,))
            return lambda value: _is_long(value) and low <= int(value) <= high_limit
    except (ValueError, re.error) as error:
        raise ValueError(f"constraint '{name}' has bad arguments '{arguments}'") from error
    raise ValueError(f"no constraint '{name}' with arguments")


def plausible_value(names):
    """A value that a person could try for a parameter with these constraints [(name, arguments)]."""
    values = {"int": "42", "long": "42", "decimal": "4.2", "double": "4.2", "float": "4.2", "bool": "true",
              "datetime": "2024-01-02", "guid": "00000000-0000-0000-0000-000000000001"}
    checks = [make_constraint(name, arguments) for name, arguments in names]
    candidates = [values[name.lower()] for name, _ in names if name.lower() in values]
    candidates += ["Ada", "42", "Ada Lovelace", "4.2", "true", "2024-01-02"]
    for name, arguments in names:
        if name.lower() in ("length", "minlength", "maxlength", "min", "max", "range"):
            for number in arguments.split(","):
                candidates += [number.strip(), "A" * min(int(number), 200)]
    return next((value for value in candidates if value and all(check(value) for check in checks)), "Ada")
