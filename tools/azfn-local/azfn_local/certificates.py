"""A certificate authority that lives as long as the program, made by the openssl program.

    with CertificateAuthority() as authority:
        context = authority.context()                # for a server: localhost, *.vault.localhost, 127.0.0.1, ::1
        authority.certificate                        # PEM, what clients are given; the keys never leave
"""

import pathlib
import secrets
import shutil
import ssl
import subprocess
import tempfile
import warnings
import weakref

NAMES = ("localhost", "*.vault.localhost", "127.0.0.1", "::1")
LEAVES = ("good", "expired", "wrong-host", "other-authority")
_DAYS = "30"
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class CertificateError(Exception):
    """openssl is missing, or failed."""


class CertificateAuthority:
    """names are added to NAMES. Everything lies in a folder of our own, which ends with close()."""

    def __init__(self, names=()):
        self.names = (*NAMES, *names)
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="azfn-local-authority-"))  # mode 0700
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._contexts = {}
        try:
            self._make_authority("authority")
        except CertificateError:
            self.close()
            raise
        self.certificate = (self._folder / "authority.pem").read_text("ascii")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._remove()

    def context(self, leaf="good", is_old=False):
        """A server's TLS context with one of LEAVES; is_old: it speaks nothing newer than TLS 1.1."""
        if (leaf, is_old) not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            if is_old:
                context.set_ciphers("ALL:@SECLEVEL=0")
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    context.minimum_version = ssl.TLSVersion.TLSv1
                    context.maximum_version = ssl.TLSVersion.TLSv1_1
            else:
                context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
            context.load_cert_chain(*self.leaf_files(leaf))
            self._contexts[leaf, is_old] = context
        return self._contexts[leaf, is_old]

    def leaf_files(self, leaf="good"):
        """Paths of (certificate, key): for programs that take files. They end with the authority."""
        if leaf not in LEAVES:
            raise ValueError(f"'{leaf}' is none of {', '.join(LEAVES)}")
        certificate, key = self._folder / f"{leaf}.pem", self._folder / f"{leaf}.key"
        if not certificate.exists():
            names = ("elsewhere.invalid",) if leaf == "wrong-host" else self.names
            issuer = "authority"
            if leaf == "other-authority":
                issuer = "other"
                self._make_authority(issuer)
            self._make_leaf(leaf, names, issuer, is_expired=leaf == "expired")
        return certificate, key

    def _make_authority(self, name):
        # a name of its own each time: clients that trusted an earlier one are not confused by it
        self._openssl("req", "-x509", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", _DAYS,
                      "-subj", f"/CN=azfn-local {secrets.token_hex(4)}",
                      "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _make_leaf(self, leaf, names, issuer, is_expired):
        kinds = ["IP" if ":" in name or name.replace(".", "").isdigit() else "DNS" for name in names]
        alternatives = ",".join(f"{kind}:{name}" for kind, name in zip(kinds, names))
        (self._folder / f"{leaf}.ext").write_text(
            f"subjectAltName={alternatives}\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
            "extendedKeyUsage=serverAuth\n", "ascii")
        self._openssl("req", "-new", *_KEY, "-keyout", f"{leaf}.key", "-out", f"{leaf}.csr", "-subj", "/CN=localhost")
        if is_expired:
            self._sign_expired(leaf, issuer)
            return
        self._openssl("x509", "-req", "-in", f"{leaf}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key",
                      "-set_serial", f"0x{secrets.token_hex(16)}", "-days", _DAYS, "-sha256",
                      "-extfile", f"{leaf}.ext", "-out", f"{leaf}.pem")

    def _sign_expired(self, leaf, issuer):
        # "openssl x509" takes dates since 3.4 only, "openssl ca" always did
        (self._folder / "index.txt").write_text("", "ascii")
        (self._folder / "ca.conf").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nrand_serial=yes\nnew_certs_dir=.\ndefault_md=sha256\n"
            "policy=p\n[p]\ncommonName=supplied\n", "ascii")
        self._openssl("ca", "-batch", "-notext", "-config", "ca.conf", "-cert", f"{issuer}.pem",
                      "-keyfile", f"{issuer}.key", "-startdate", "20200101000000Z", "-enddate", "20200102000000Z",
                      "-extfile", f"{leaf}.ext", "-in", f"{leaf}.csr", "-out", f"{leaf}.pem")

    def _openssl(self, *arguments):
        try:
            result = subprocess.run(["openssl", *arguments], cwd=self._folder, stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise CertificateError("the program openssl, which makes the local certificate authority, is missing"
                                   ) from error
        if result.returncode:
            raise CertificateError(f"openssl {arguments[0]}: {result.stderr.strip()[-500:]}")
