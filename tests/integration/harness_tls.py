"""A certificate authority of the tests, and servers that speak TLS with its certificates."""

import datetime
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness_services import free_port
from harness_wait import wait_until


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Authority:
    """`path` is the file of its own certificate."""

    def __init__(self, directory, name):
        self._directory, self._name = directory, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._serial = 0
        public = self._key.public_key()
        own = self._sign(_name(name), public, days=30, more=[
            (x509.SubjectKeyIdentifier.from_public_key(public), False),
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)])
        self.path = self._write("ca.pem", own.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, public_key, days, more):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(_name(self._name)).public_key(
            public_key).serial_number(x509.random_serial_number()).not_valid_before(
                now - datetime.timedelta(days=20)).not_valid_after(now + datetime.timedelta(days=days))
        # Whose key signed it: Debian 13's Python refuses a certificate that does not say so.
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        for extension, critical in [*more, (signer, False)]:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name, data):
        path = os.path.join(self._directory, f"{self._name}-{name}")
        with open(path, "wb") as sink:
            sink.write(data)
        os.chmod(path, 0o644)   # servers run as their own users
        return path

    def issue(self, name, hosts=("localhost",), days=10):
        """A certificate and its key: two paths. Negative days: it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_name(name), key.public_key(), days, [
            (x509.SubjectAlternativeName([_alternative(host) for host in hosts]), False)])
        return (self._write(f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM)),
                self._write(f"{name}.key", key.private_bytes(serialization.Encoding.PEM,
                                                             serialization.PrivateFormat.TraditionalOpenSSL,
                                                             serialization.NoEncryption())))


class TlsRedis:
    """A Redis that speaks only TLS and wants a certificate of its clients, unless said otherwise."""

    def __init__(self, authority, certificate, password, wants_certificate=True):
        self.port, self.password, self._certificate, self._ca = free_port(), password, certificate, authority.path
        self._wants = "yes" if wants_certificate else "no"
        self.start()

    def start(self):
        self._process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", str(self.port), "--tls-cert-file",
             self._certificate[0], "--tls-key-file", self._certificate[1], "--tls-ca-cert-file", self._ca,
             "--tls-auth-clients", self._wants, "--requirepass", self.password, "--save", "", "--dir", "/tmp"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._listens, 20, "Redis to listen")

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        self._process.kill()
        self._process.wait()


class PostgresOverTls:
    """Makes the PostgreSQL that tests use speak TLS too, until `end`. `query` runs a statement as its owner."""

    def __init__(self, query, certificate, directory):
        self._query = query
        own = [shutil.copy(path, os.path.join(directory, "postgres-" + os.path.basename(path)))
               for path in certificate]
        os.chmod(own[1], 0o600)
        if os.geteuid() == 0:
            for path in own:
                shutil.chown(path, "postgres", "postgres")
        for name, value in (("ssl_cert_file", own[0]), ("ssl_key_file", own[1]), ("ssl", "on")):
            query(f"alter system set {name} = '{value}'")
        self._reload("on")

    def _reload(self, ssl_is):
        self._query("select pg_reload_conf()")
        wait_until(lambda: self._query("show ssl") == [(ssl_is,)], 20, f"ssl to be {ssl_is}")

    def end(self):
        for name in ("ssl", "ssl_cert_file", "ssl_key_file"):
            self._query(f"alter system reset {name}")
        self._reload("off")


class NameListener:
    """A TLS server that only notes which names its clients ask for."""

    def __init__(self, certificate):
        self.names = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._context.sni_callback = lambda _, name, __: self.names.append(name)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            try:
                self._context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    def close(self):
        self._socket.close()
