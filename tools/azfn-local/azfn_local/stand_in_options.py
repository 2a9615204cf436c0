"""The options of the command line that are about stand-ins, and the stand-ins that come of them."""

import contextlib
import pathlib
import urllib.parse

from .app import AppError
from .failures import SYNTAX, describe_kinds
from .identity import ManagedIdentity
from .key_vault import KeyVault
from .policy import Policy
from .queue_storage import QueueStorage
from .stand_ins import StandIns, read_secrets

SECRETS_FILE = "local.secrets.json"


class OptionError(Exception):
    """An option's value can't be used."""


class NoStandIns:
    """An app that needs none, or shall have none."""
    env = {}

    def secret(self, name):
        raise KeyError(name)


def add_stand_in_options(parser, is_optional):
    group = parser.add_argument_group("stand-ins for managed identity, Key Vault and destinations, used when azfn.json "
                                      "has any")
    if is_optional:
        group.add_argument("--no-stand-ins", action="store_true", help="leave the environment as it is")
    group.add_argument("--secrets-file", metavar="FILE", help="JSON: azfn.json's name of a secret, and its value or an "
                       "object with value, enabled, nbf, exp, contentType, versions "
                       f"({SECRETS_FILE} in the app's or the current folder; random values for all others)")
    group.add_argument("--destination", action="append", default=[], metavar="NAME=URL",
                       help="where on this machine a destination is to lead, in place of a stand-in")
    group.add_argument("--azurite", action="store_true", help="Azurite for queues, where npm has installed it")
    for option in ("--identity-fail", "--vault-fail"):
        group.add_argument(option, action="append", default=[], metavar="FAILURE", help="see below")
    group.add_argument("--destination-fail", action="append", default=[], metavar="NAME=FAILURE", help="see below")


def failure_help():
    """What --help says of failures."""
    vault, identity = dict(KeyVault.kinds()), ManagedIdentity.own_kinds
    own = KeyVault.own_kinds
    common = {kind: text for kind, text in vault.items() if kind not in own and kind != "hold"}
    return (f"A FAILURE is {SYNTAX}; without COUNT it lasts.\n"
            "Examples: 503:3, 429,retry-after=2:1, 403=ForbiddenByRbac@webhook-key, slow=2.5.\n"
            "TARGET is a secret's name, a token's audience, a queue or a path.\n"
            "KIND is a status (behind 403= comes Key Vault's inner code) or\n"
            f"{describe_kinds(common)}\nof the identity also\n{describe_kinds(identity)}\nof the vault also\n"
            f"{describe_kinds(own)}")


@contextlib.contextmanager
def open_stand_ins(options, root, say):
    """The stand-ins of the app in root while the block runs. say(line) shows what they do. OptionError, AppError."""
    if hasattr(options, "no_stand_ins") and (options.no_stand_ins or not _needs_stand_ins(root)):
        yield NoStandIns()
        return
    secrets, path = {}, _secrets_file(options, root)
    if path:
        secrets = read_secrets(path)
        say(f"secrets are those of {path}")
    with StandIns(Policy.read(root), secrets=secrets, urls=dict(map(_split, options.destination)),
                  azurite=options.azurite, on_request=say, on_note=say) as stand_ins:
        _set_failures(options, stand_ins)
        say(f"[identity] {stand_ins.identity.url}")
        say(f"[vault] {stand_ins.vault.vault_url(stand_ins.default_vault)}")
        for name, url in sorted(stand_ins.urls.items()):
            say(f"[{name}] {url}")
        yield stand_ins


def _needs_stand_ins(root):
    try:
        return Policy.needs_stand_ins(Policy.read(root))
    except AppError:
        return False  # the handler says it better, with the line


def _secrets_file(options, root):
    if options.secrets_file:
        return pathlib.Path(options.secrets_file)
    found = (folder / SECRETS_FILE for folder in (root, pathlib.Path.cwd()))
    return next((path for path in found if path.is_file()), None)


def _split(text):
    name, mark, value = text.partition("=")
    if not mark or not name or not value:
        raise OptionError(f"'{text}' is not NAME=...")
    return name, value


def _set_failures(options, stand_ins):
    wanted = [("--identity-fail", stand_ins.identity, text) for text in options.identity_fail]
    wanted += [("--vault-fail", stand_ins.vault, text) for text in options.vault_fail]
    for name, text in map(_split, options.destination_fail):
        server = stand_ins.destination_server(name)
        if server is None:
            raise OptionError(f"--destination-fail: nothing stands in for '{name}'")
        if isinstance(server, QueueStorage) and "@" not in text:
            text += "@" + urllib.parse.urlsplit(stand_ins.urls[name]).path.split("/")[2]
        wanted.append(("--destination-fail", server, text))
    for option, server, text in wanted:
        try:
            server.fail(text)
        except ValueError as error:
            raise OptionError(f"{option}: {error}") from error
