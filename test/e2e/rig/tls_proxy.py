"""TLS before a server that speaks none, as a proxy in front of a search engine has it."""

import contextlib
import socket
import ssl
import threading

BYTES_MAX = 1 << 16  # at once


class TlsProxy:
    """Listens at `port` of 127.0.0.1 until close(), and leads to `target` ("127.0.0.1:PORT"). With `client_authority` only who shows a
    certificate of that one gets through."""

    def __init__(self, target, certificate, key, client_authority=None):
        host, port = target.split(":")
        self._target = host, int(port)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_authority)
        self._context.load_cert_chain(certificate, key)
        if client_authority:
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection, self._context.wrap_socket(connection, server_side=True) as inside, \
                socket.create_connection(self._target) as outside:
            back = threading.Thread(target=_pass_on, args=(outside, inside), daemon=True)
            back.start()
            _pass_on(inside, outside)
            back.join()


def _pass_on(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(BYTES_MAX):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
