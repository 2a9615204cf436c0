"""JSON as the host's library (Newtonsoft.Json) reads and writes it.

Python's json module is stricter in reading and different in writing: the host accepts comments, single
quotes and trailing commas, turns ISO dates inside strings into dates, and writes 1e30 as 1E+30. What a
function sends is changed by that, so a test needs the same changes.

Values: None, bool, int (exact, any size), Double, str, Date, list, dict (the last of equal keys wins).
"""

import datetime
import json
import re

MAX_DEPTH = 256


class JsonError(ValueError):
    """The text is not JSON, even for a lenient reader."""


class Missing:
    """The document has no value at all; the host takes that for null."""


MISSING = Missing()


class Double(float):
    """A number with a fraction or exponent; raw is its spelling in the document."""

    def __new__(cls, raw):
        self = super().__new__(cls, raw)
        self.raw = str(raw)
        return self


_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,7}))?(Z|[+-]\d\d(?::?\d\d)?)?\Z",
                       re.ASCII)


class Date:
    """A string that the host has taken for a date. Its time zone is taken to be UTC, as in the cloud."""

    def __init__(self, moment, ticks, suffix, raw):
        self.moment = moment
        self.ticks = ticks
        self.suffix = suffix
        self.raw = raw

    @classmethod
    def parse(cls, text):
        """A Date, or None where text is an ordinary string."""
        match = _ISO_DATE.match(text)
        if not match:
            return None
        numbers = [int(part) for part in match.groups()[:6]]
        try:
            moment = datetime.datetime(*numbers)
            zone = match.group(8)
            if zone and zone != "Z":
                digits = zone[1:].replace(":", "").ljust(4, "0")
                offset = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
                moment = moment - offset if zone[0] == "+" else moment + offset
        except (ValueError, OverflowError):
            return None
        suffix = "Z" if zone == "Z" else "+00:00" if zone else ""
        return cls(moment, (match.group(7) or "").ljust(7, "0"), suffix, text)

    def __str__(self):
        return self.moment.strftime("%m/%d/") + f"{self.moment.year:04}" + self.moment.strftime(" %H:%M:%S")

    def iso(self):
        fraction = self.ticks.rstrip("0")
        year = f"{self.moment.year:04}"
        return year + self.moment.strftime("-%m-%dT%H:%M:%S") + ("." + fraction if fraction else "") + self.suffix

    def __eq__(self, other):
        return isinstance(other, Date) and self.iso() == other.iso()

    def __hash__(self):
        return hash(self.iso())

    def __repr__(self):
        return f"Date({self.iso()})"


_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_SPACE = re.compile(r"(?:[ \t\r\n\f\v\u00a0]+|/\*.*?\*/|//[^\r\n]*)*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_WORD = re.compile(r"true|false|null|undefined|NaN|-?Infinity")
_WORDS = {"true": True, "false": False, "null": None, "undefined": None}
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "\\": "\\", '"': '"', "'": "'", "/": "/"}


class _Reader:
    def __init__(self, text, dates):
        self.text = text
        self.position = 0
        self.dates = dates

    def fail(self, what):
        raise JsonError(f"{what} at character {self.position}")

    def peek(self):
        self.position = _SPACE.match(self.text, self.position).end()
        return self.text[self.position:self.position + 1]

    def value(self, depth=0):
        if depth > MAX_DEPTH:
            self.fail("too deep")
        first = self.peek()
        if first == "{":
            return self.object(depth)
        if first == "[":
            return self.array(depth)
        if first and first in "\"'":
            text = self.string(first)
            return (self.dates and Date.parse(text)) or text
        match = _WORD.match(self.text, self.position)
        if match:
            self.position = match.end()
            return _WORDS[match.group()] if match.group() in _WORDS else Double(match.group())
        match = _NUMBER.match(self.text, self.position)
        if not match:
            self.fail("unexpected character" if first else "unexpected end")
        self.position = match.end()
        if self.text[self.position:self.position + 1].isalnum():
            self.fail("bad number")
        raw = match.group()
        return int(raw) if re.fullmatch(r"-?\d+", raw) else Double(raw)

    def object(self, depth):
        self.position += 1
        result = {}
        while self.peek() != "}":
            first = self.peek()
            if first and first in "\"'":
                name = self.string(first)
            else:
                match = _NAME.match(self.text, self.position)
                if not match:
                    self.fail("expected a property name")
                name = match.group()
                self.position = match.end()
            if self.peek() != ":":
                self.fail("expected ':'")
            self.position += 1
            result[name] = self.value(depth + 1)
            self.separator("}")
        self.position += 1
        return result

    def array(self, depth):
        self.position += 1
        result = []
        while self.peek() != "]":
            result.append(self.value(depth + 1))
            self.separator("]")
        self.position += 1
        return result

    def separator(self, end):
        following = self.peek()
        if following == ",":
            self.position += 1
        elif following != end:
            self.fail(f"expected ',' or '{end}'")

    def string(self, quote):
        self.position += 1
        parts = []
        pattern = re.compile(rf"[^{quote}\\]*")
        while True:
            match = pattern.match(self.text, self.position)
            parts.append(match.group())
            self.position = match.end()
            character = self.text[self.position:self.position + 1]
            if not character:
                self.fail("unterminated string")
            self.position += 1
            if character == quote:
                return join_surrogates("".join(parts))
            escape = self.text[self.position:self.position + 1]
            self.position += 1
            if escape == "u":
                digits = self.text[self.position:self.position + 4]
                if not re.fullmatch("[0-9A-Fa-f]{4}", digits):
                    self.fail("bad escape")
                parts.append(chr(int(digits, 16)))
                self.position += 4
            elif escape and escape in _ESCAPES:
                parts.append(_ESCAPES[escape])
            else:
                self.fail("bad escape")


def join_surrogates(text):
    """Makes one character of two escaped halves; a lone half becomes U+FFFD, as when the host writes it."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def parse(text, check_end=True, dates=True):
    """The value in text; MISSING for blanks and comments only. With check_end, anything after it is an error."""
    reader = _Reader(text, dates)
    if not reader.peek():
        return MISSING
    value = reader.value()
    if check_end and reader.peek():
        reader.fail("additional text")
    return value


def looks_like_json(text):
    """The host's quick test: braces or brackets around the trimmed text."""
    text = text.strip()
    return (text.startswith("{") and text.endswith("}")) or (text.startswith("[") and text.endswith("]"))


def double_text(value):
    """A double as .NET prints it: 1, 0.1, 1E+30, 1E-05."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0" if str(value).startswith("-") else "0"
    sign = "-" if value < 0 else ""
    mantissa, _, power = float.__repr__(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + ("" if fraction == "0" else fraction)).lstrip("0")
    leading = len(fraction) - len(fraction.lstrip("0")) if whole == "0" else 0
    exponent = int(power or 0) + (len(whole) - 1 if whole != "0" else -leading - 1)
    digits = digits.rstrip("0") or "0"
    if -4 <= exponent < 15:
        if exponent < 0:
            return sign + "0." + "0" * (-exponent - 1) + digits
        digits = digits.ljust(exponent + 1, "0")
        rest = digits[exponent + 1:]
        return sign + digits[:exponent + 1] + ("." + rest if rest else "")
    rest = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}E{'+' if exponent >= 0 else '-'}{abs(exponent):02}"


def plain_text(value):
    """A value as .NET's ToString prints it: True, 1, 01/02/2024 03:04:05; containers as indented JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, (dict, list)):
        return dumps(value, indent=True)
    return str(value)


def raw_text(value):
    """A scalar as the host reads it into a string property: numbers and booleans as they were spelled."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (Date, Double)):
        return value.raw
    if isinstance(value, int):
        return str(value)
    raise JsonError("a string was expected")


def quote(text):
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def dumps(value, indent=False, level=0):
    """JSON text, compact or in the host's indented form (two blanks, LF)."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = double_text(value)
        return text if any(mark in text for mark in ".EN") or "I" in text else text + ".0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, Date):
        return quote(value.iso())
    is_object = isinstance(value, dict)
    if is_object:
        colon = ": " if indent else ":"
        items = [quote(name) + colon + dumps(item, indent, level + 1) for name, item in value.items()]
    else:
        items = [dumps(item, indent, level + 1) for item in value]
    opening, closing = "{}" if is_object else "[]"
    if not items or not indent:
        return opening + ",".join(items) + closing
    inner = "\n" + "  " * (level + 1)
    return opening + inner + ("," + inner).join(items) + "\n" + "  " * level + closing
