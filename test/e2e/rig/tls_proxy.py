"""TLS before a server that speaks none, as a proxy in front of a search engine has it."""

import contextlib
import select
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

    # One thread for both ways: two must not use a session of TLS at the same time. HTTP is asked and answered by turns.
    def _serve(self, connection):
        with contextlib.suppress(OSError), connection, self._context.wrap_socket(connection, server_side=True) as inside, \
                socket.create_connection(self._target) as outside:
            while True:
                ready = [inside] if inside.pending() else select.select([inside, outside], [], [])[0]
                for source, target in ((inside, outside), (outside, inside)):
                    if source in ready:
                        data = source.recv(BYTES_MAX)
                        if not data:
                            return
                        target.sendall(data)
