"""Lines of a handler's console, and the level that the host logs them with."""

from typing import NamedTuple

_SYSTEM_PREFIX = "languageworkerconsolelog"
_TOOLING_PREFIX = "azfuncjsonlog:"


class Line(NamedTuple):
    """A line of the handler's output. level: Information, Warning, Error. category: Console, System, Tooling."""
    level: str
    text: str
    stream: str
    category: str


def classify(stream, text, errors_only=True):
    """The Line that the host logs for a line of output."""
    level, lower = "Information", text.lower()
    if stream == "stderr":
        if "warn" in lower:
            level = "Warning"
        elif errors_only or any(word in lower for word in ("error", "fail", "severe", "unhandled exception")):
            level = "Error"
    if lower.startswith(_SYSTEM_PREFIX):
        return Line(level, text[len(_SYSTEM_PREFIX):], stream, "System")
    return Line(level, text, stream, "Tooling" if lower.startswith(_TOOLING_PREFIX) else "Console")


def read_lines(pipe, stream, add_line):
    """Calls add_line(stream, bytes) for each line until the pipe ends. LF, CR LF and a lone CR end a line; an
    unfinished one is held until its end comes."""
    pending, after_cr = b"", False
    while data := pipe.read1(65536):
        ends_with_cr = data.endswith(b"\r")
        if after_cr and data.startswith(b"\n"):
            data = data[1:]
        after_cr = ends_with_cr
        pieces = (pending + data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")).split(b"\n")
        pending = pieces.pop()
        for piece in pieces:
            add_line(stream, piece)
    if pending:
        add_line(stream, pending)
    pipe.close()
