"""Looks for secrets where none may be: in all forms in which they could have been left behind.

    search = Search({"key": "a-value-that-nobody-else-has"})
    search.in_bytes(text)                   # -> ["key as it is"]
    search.in_process(process)              # -> [Finding], one for each mapping and form
    search.in_files(folder)
"""

import base64
import re

PIECE_BYTES = 20  # what is left of a secret may be a part of it
MAX_PIECES = 24


def _base64_forms(value):
    """What value looks like within the base64 of a longer text, at each of the three places that it can begin at."""
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + value)
        begin = (offset * 8 + 5) // 6
        end = (offset + len(value)) * 8 // 6
        yield text[begin:end]
        yield text[begin:end].translate(bytes.maketrans(b"+/", b"-_"))


def forms_of(value):
    """{bytes: what they are}"""
    forms = {value: "as it is"}
    step = max(PIECE_BYTES, (len(value) - PIECE_BYTES) // MAX_PIECES)
    for start in range(0, len(value) - PIECE_BYTES + 1, step):
        forms.setdefault(value[start:start + PIECE_BYTES], f"bytes {start} to {start + PIECE_BYTES}")
    for text in _base64_forms(value):
        forms[text] = "in base64"
    forms[value.hex().encode()] = "in hexadecimal"
    forms[value.hex().upper().encode()] = "in hexadecimal, large letters"
    forms[value.decode("latin-1").encode("utf-16-le")] = "in UTF-16"
    return forms


class Finding:
    def __init__(self, what, start, offset, path, flags):
        self.what, self.address, self.path, self.flags = what, start + offset, path, flags

    def is_protected(self):
        """In locked memory that is in no core dump and not in children."""
        return {"lo", "dd", "dc"} <= self.flags

    def __repr__(self):
        return f"{self.what} at {self.address:#x} in {self.path or 'anonymous memory'} ({' '.join(sorted(self.flags))})"


def mappings(process):
    """(start, end, path, flags) of each mapping of a process."""
    start = end = path = None
    for line in (process.folder / "smaps").read_text().splitlines():
        parts = line.split(None, 5)
        if parts[0] == "VmFlags:":
            yield start, end, path, set(line.split()[1:])
        elif not parts[0].endswith(":"):
            start, end = (int(part, 16) for part in parts[0].split("-"))
            path = parts[5] if len(parts) > 5 else ""


def resident_ranges(process, start, end):
    """The parts of a mapping with memory behind them, swapped out or not: the others are nothing but zeros."""
    page_bytes = 4096
    with open(process.folder / "pagemap", "rb", 0) as pagemap:
        pagemap.seek(start // page_bytes * 8)
        entries = pagemap.read((end - start) // page_bytes * 8)
    # present or swapped, in the highest byte of each entry
    is_there = bytes(1 if byte & 0xc0 else 0 for byte in entries[7::8])
    for match in re.finditer(b"\x01+", is_there):
        yield start + match.start() * page_bytes, start + match.end() * page_bytes


class Search:
    def __init__(self, values):
        self.forms = {form: f"{name} {what}" for name, value in values.items()
                      for form, what in forms_of(value.encode()).items()}

    def in_bytes(self, data):
        data = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        return [what for form, what in self.forms.items() if form in data]

    def in_process(self, process):
        found = []
        with open(process.folder / "mem", "rb", 0) as memory:
            for start, end, path, flags in mappings(process):
                if "rd" not in flags or path in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
                    continue
                for low, high in resident_ranges(process, start, end):
                    memory.seek(low)
                    data = memory.read(high - low)
                    found += [Finding(what, low, data.index(form), path, flags)
                              for form, what in self.forms.items() if form in data]
        return found

    def in_files(self, folder):
        """[(path, what)] of all files below."""
        return [(str(path), what) for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()
                for what in self.in_bytes(path.read_bytes())]
