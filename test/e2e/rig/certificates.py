"""Certificates for tests of TLS, each in a file NAME.pem, its key beside it in NAME.key."""

import os
import subprocess

DAYS = 2


def make_authority(directory, name):
    """The path of its certificate."""
    certificate = directory / f"{name}.pem"
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", DAYS, "-subj", f"/CN={name}", "-keyout", certificate.with_suffix(".key"),
             "-out", certificate)
    return certificate


def make_certificate(authority, name, address="127.0.0.1", password=None):
    """(certificate, key) for a server at the address, or for a client, signed by make_authority()'s; the key wants the password, if there is one."""
    request, key, certificate = (authority.with_name(f"{name}.{suffix}") for suffix in ("csr", "key", "pem"))
    extensions = authority.with_name(f"{name}.ext")
    extensions.write_text(f"subjectAltName = IP:{address}\n")
    _openssl("req", "-newkey", "rsa:2048", *(["-passout", f"pass:{password}"] if password else ["-noenc"]), "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    _openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority.with_suffix(".key"), "-CAcreateserial", "-days", DAYS,
             "-extfile", extensions, "-out", certificate)
    return certificate, key


def as_the_systems(authority):
    """A command that runs the one behind it on a system whose only authority is this one; None where that cannot be had."""
    certificates = authority.with_name("system-certificates")
    certificates.mkdir()
    digest = _openssl("x509", "-hash", "-noout", "-in", authority).decode().strip()
    for name in ("ca-certificates.crt", f"{digest}.0"):
        (certificates / name).write_bytes(authority.read_bytes())
    within = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--mount", "sh", "-c", 'mount --bind "$0" /etc/ssl/certs && exec "$@"', certificates]
    return within if subprocess.run([*within, "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0 else None


def _openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL, capture_output=True).stdout
