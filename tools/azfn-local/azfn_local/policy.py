"""What azfn.json says of secrets, destinations and settings: as much as the stand-ins have to know. The handler judges
the file; what is wrong in it is left out here."""

import dataclasses
import json
import re
import urllib.parse
import uuid

from .app import AppError

_SETTING = re.compile(r"%([A-Za-z_][A-Za-z0-9_:.-]*)%")
_SECRET_URI = re.compile(r"https://([^./]+)\.vault\.[^/]+/secrets/([^/]+)(?:/([0-9a-fA-F]{32}))?/?")


@dataclasses.dataclass(frozen=True)
class Reference:
    """A secret in a vault; version None: the newest."""
    vault: str
    name: str
    version: str | None = None

    @classmethod
    def parse(cls, text):
        """Of "@Microsoft.KeyVault(...)" without %NAME%. None where it is not one."""
        match = re.fullmatch(r"@Microsoft\.KeyVault\((.*)\)", text)
        if not match:
            return None
        fields = dict(part.partition("=")[::2] for part in match[1].split(";"))
        if "SecretUri" in fields:
            uri = _SECRET_URI.fullmatch(fields["SecretUri"])
            return cls(*uri.groups()) if uri else None
        if "VaultName" in fields and "SecretName" in fields:
            return cls(fields["VaultName"], fields["SecretName"], fields.get("SecretVersion"))
        return None


@dataclasses.dataclass(frozen=True)
class Destination:
    url: str
    audience: str | None = None  # of the token that it gets
    header: str | None = None
    secret: str | None = None    # of azfn.json, the header's value

    @property
    def is_queue_storage(self):
        return (urllib.parse.urlsplit(self.url).hostname or "").endswith(".queue.core.windows.net")


class Policy:
    """document: of azfn.json. settings: name to value, for %NAME%."""

    def __init__(self, document, settings):
        self._settings = settings
        self.missing = set()  # settings that are needed and have no value
        self.secrets = {}
        for name, item in _objects(document, "secrets"):
            reference = Reference.parse(self._replace(item.get("reference")))
            if reference:
                self.secrets[name] = reference
        self.destinations = {}
        for name, item in _objects(document, "destinations"):
            how = item.get("authenticate")
            how = how if isinstance(how, dict) else {}
            self.destinations[name] = Destination(self._replace(item.get("url")), how.get("managedIdentity"),
                                                  how.get("header"), how.get("secret"))
        identity = document.get("identity")
        self.identity_ids = [self._replace(value) for value in identity.values() if isinstance(value, str)] \
            if isinstance(identity, dict) else []

    @staticmethod
    def default_settings(document):
        """A value for each %NAME% that stand-ins make meaningless, but that the handler wants to be set."""
        found = {}
        for _, item in _objects(document, "destinations"):
            parts = urllib.parse.urlsplit(_text(item.get("url")))
            for name in _SETTING.findall(parts.path) + _SETTING.findall(parts.netloc):
                found[name] = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
                if parts.netloc == f"%{name}%":
                    found[name] += ".example"
        for _, item in _objects(document, "secrets"):
            vault = re.search(r"VaultName=([^;)]*)|https://([^/.]*)", _text(item.get("reference")))
            found.update((name, "dev") for name in _SETTING.findall((vault[1] or vault[2] or "") if vault else ""))
        identity = document.get("identity")
        for kind, value in identity.items() if isinstance(identity, dict) else ():
            whole = _SETTING.fullmatch(_text(value))
            if whole:
                found[whole[1]] = "/subscriptions/local/id" if kind == "resourceId" else str(uuid.uuid4())
        return found

    @staticmethod
    def read(root):
        """The document of root/azfn.json; {} where there is none. AppError."""
        path = root / "azfn.json"
        try:
            document = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise AppError(f"{path}: {error}") from error
        if not isinstance(document, dict):
            raise AppError(f"{path}: is not a JSON object")
        return document

    @staticmethod
    def needs_stand_ins(document):
        return bool(document.get("secrets") or document.get("destinations"))

    def _replace(self, text):
        def value(match):
            if match[1] not in self._settings:
                self.missing.add(match[1])
            return self._settings.get(match[1], match[0])
        return _SETTING.sub(value, _text(text))


def _text(value):
    return value if isinstance(value, str) else ""


def _objects(document, name):
    items = document.get(name)
    return [(key, item) for key, item in items.items() if isinstance(item, dict)] if isinstance(items, dict) else []
