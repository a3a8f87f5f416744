"""What may happen between a client of Kafka and its brokers, on request: a TCP proxy that knows Kafka's requests.

Brokers have a listener of their own for it, which advertises the proxy's ports: a client that is given
`kafka.proxy.bootstrap` is told of no other address, so every request of it comes through here. Plain text only.

Each connection is read frame by frame, by one thread a direction: a frame is its length in 4 bytes, then, of a request,
the API's number and version in 2 bytes each and a correlation id in 4; of an answer, that id. Rules pick requests by API, and
answers by the request they belong to.
"""

import contextlib
import socket
import struct
import threading
import time

from rig.kafka import Kafka

# Numbers that are there for good: https://kafka.apache.org/protocol#protocol_api_keys
APIS = {
    "Produce": 0, "Fetch": 1, "ListOffsets": 2, "Metadata": 3, "OffsetCommit": 8, "OffsetFetch": 9, "FindCoordinator": 10,
    "ApiVersions": 18, "CreateTopics": 19, "InitProducerId": 22, "AddPartitionsToTxn": 24, "AddOffsetsToTxn": 25, "EndTxn": 26,
    "TxnOffsetCommit": 28}
FRAME_BYTES_MAX = 256 << 20


class ProxiedKafka(Kafka):
    """A Kafka with `proxy` before each of its nodes; `bootstrap` still leads past it."""

    def __init__(self, directory, name="kafka", nodes=1, properties=None, listeners=None):
        sockets = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(nodes)]
        ports = ",".join(str(each.getsockname()[1]) for each in sockets)
        super().__init__(directory, name, nodes, properties, {**(listeners or {}), "PROXY": f"PLAINTEXT@{ports}"})
        self.proxy = Proxy({each: self.listener_port("PROXY", node) for node, each in zip(self.nodes, sockets)}, self.bootstrap_of("PROXY"))

    def destroy(self):
        self.proxy.close()
        super().destroy()


class Rule:
    """What is done to the next `times` requests of one API, or to their answers. Made by Proxy's methods."""

    def __init__(self, proxy, api, action, answer, times, seconds=0.0):
        self.api, self.action, self.answer, self.seconds = APIS[api], action, answer, seconds
        self.left = times
        self.met = 0  # how many it was applied to
        self._proxy = proxy
        self._released = threading.Event()

    def wait(self, times=1, seconds=60):
        """Until that many requests have met the rule."""
        with self._proxy.changed:
            assert self._proxy.changed.wait_for(lambda: self.met >= times, seconds), f"waited {seconds} s for request {self.api}: {self.met} came"

    def end(self):
        """Meets nothing more. What is held goes on."""
        with self._proxy.changed:
            self.left = 0
        self._released.set()

    release = end


class Proxy:
    """All methods may be called from any thread. Rules meet in the order in which they were made, the first that fits."""

    def __init__(self, targets, bootstrap):
        self.bootstrap = bootstrap
        self.changed = threading.Condition()
        self.requests = []  # (time.monotonic(), API's number), of all that came
        self._rules = []
        self._links = set()
        self._refusing = self._silent = self._closed = False
        self._listeners = list(targets)
        for listener, port in targets.items():
            threading.Thread(target=self._accept, args=(listener, port), daemon=True).start()

    # --- One API's requests -----------------------------------------------------------------------------------------

    def hold(self, api, times=1, answer=False):
        """Keeps the request (the answer) until rule.release(). A request reaches the broker even when its client has hung up
        meanwhile, as a packet would that was long under way."""
        return self._add(Rule(self, api, "hold", answer, times))

    def delay(self, api, seconds, times=1 << 30, answer=False):
        return self._add(Rule(self, api, "delay", answer, times, seconds))

    def drop(self, api, times=1, answer=False):
        """Swallows it; the connection stays."""
        return self._add(Rule(self, api, "drop", answer, times))

    def cut(self, api, times=1, answer=False):
        """Cuts the connection instead of passing the request on; answer=True: after the broker has carried it out, instead of
        passing on the answer."""
        return self._add(Rule(self, api, "cut", answer, times))

    def pretend_old(self):
        """Answers for the brokers what Kafka 0.10.2 can do, which knew no transactions, until rule.end()."""
        return self._add(Rule(self, "ApiVersions", "pretend", False, 1 << 30))

    def count(self, api):
        """Requests of it that came so far."""
        with self.changed:
            return sum(number == APIS[api] for _, number in self.requests)

    def wait_for(self, api, more=1, seconds=60):
        """Until that many further requests of it have come."""
        wanted = self.count(api) + more
        with self.changed:
            assert self.changed.wait_for(lambda: sum(number == APIS[api] for _, number in self.requests) >= wanted, seconds), f"no {api} within {seconds} s"

    def _add(self, rule):
        with self.changed:
            self._rules.append(rule)
        return rule

    # --- The whole link ---------------------------------------------------------------------------------------------

    def cut_all(self):
        """Resets every connection there is."""
        with self.changed:
            links = list(self._links)
        for link in links:
            link.cut()

    @contextlib.contextmanager
    def away(self):
        """Connections are reset, and new ones at once."""
        with self.changed:
            self._refusing = True
        self.cut_all()
        try:
            yield
        finally:
            with self.changed:
                self._refusing = False

    @contextlib.contextmanager
    def black_hole(self):
        """Connections stay and are made, but nothing passes either way until the end."""
        with self.changed:
            self._silent = True
        try:
            yield
        finally:
            with self.changed:
                self._silent = False
                self.changed.notify_all()

    def close(self):
        with self.changed:
            self._closed = True
            self._silent = False
            for rule in self._rules:
                rule.end()
            self.changed.notify_all()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut_all()

    # --- Inside -----------------------------------------------------------------------------------------------------

    def _accept(self, listener, port):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self.changed:
                refused = self._refusing or self._closed
            if refused:
                _reset(client)
                continue
            try:
                broker = socket.create_connection(("127.0.0.1", port), timeout=10)
            except OSError:
                _reset(client)
                continue
            broker.settimeout(None)
            link = _Link(self, client, broker)
            with self.changed:
                self._links.add(link)
            link.start()

    def forget(self, link):
        with self.changed:
            self._links.discard(link)

    def pass_through(self):
        """Returns when nothing is kept back."""
        with self.changed:
            self.changed.wait_for(lambda: not self._silent)

    def note(self, api):
        with self.changed:
            self.requests.append((time.monotonic(), api))
            self.changed.notify_all()

    def rule_for(self, api, answer):
        with self.changed:
            for rule in self._rules:
                if rule.api == api and rule.answer == answer and rule.left > 0:
                    rule.left -= 1
                    rule.met += 1
                    self.changed.notify_all()
                    return rule
        return None


class _Link:
    """One client's connection, and the one that was made for it to the broker."""

    def __init__(self, proxy, client, broker):
        self._proxy, self._client, self._broker = proxy, client, broker
        self._asked = {}  # correlation id: API's number, of requests without their answer
        self._answers = None

    def start(self):
        threading.Thread(target=self._run, args=(self._requests,), daemon=True).start()
        self._answers = threading.Thread(target=self._run, args=(self._answer_frames,), daemon=True)
        self._answers.start()

    def cut(self):
        _reset(self._client)
        _reset(self._broker)

    def _run(self, direction):
        try:
            direction()
        except OSError:
            pass
        self.cut()
        self._proxy.forget(self)

    def _requests(self):
        while (frame := _frame(self._client)) is not None:
            api, _, correlation = struct.unpack_from(">hhi", frame, 4)
            self._proxy.note(api)
            self._proxy.pass_through()
            self._asked[correlation] = api
            rule = self._proxy.rule_for(api, answer=False)
            if rule is not None and rule.action == "pretend":
                self._asked.pop(correlation)
                self._client.sendall(_old_versions(frame))
            elif self._apply(rule):
                self._broker.sendall(frame)
        # The client has hung up. What was held went out above: its connection ends when the broker has carried it out.
        deadline = time.monotonic() + 10
        while self._asked and self._answers.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _answer_frames(self):
        while (frame := _frame(self._broker)) is not None:
            correlation, = struct.unpack_from(">i", frame, 4)
            api = self._asked.pop(correlation, None)
            rule = self._proxy.rule_for(api, answer=True) if api is not None else None
            self._proxy.pass_through()
            if self._apply(rule):
                with contextlib.suppress(OSError):  # its client may be gone, its request held
                    self._client.sendall(frame)

    def _apply(self, rule):
        """Whether the frame goes on."""
        if rule is None:
            return True
        if rule.action == "delay":
            time.sleep(rule.seconds)
        elif rule.action == "hold":
            rule._released.wait()
        elif rule.action == "cut":
            raise OSError("cut by a rule")
        return rule.action != "drop"


def _old_versions(request):
    """Kafka 0.10.2's answer to ApiVersions: all it can do, or error 35 where it was asked in a later version's words."""
    _, version, correlation = struct.unpack_from(">hhi", request, 4)
    able = list(enumerate([2, 3, 1, 2, 0, 0, 3, 1, 2, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]))
    body = struct.pack(">ihi", correlation, 35 if version > 0 else 0, len(able)) + b"".join(struct.pack(">hhh", api, 0, most) for api, most in able)
    return struct.pack(">i", len(body)) + body


def _frame(connection):
    """The next one with its length; None at the end."""
    head = _exactly(connection, 4)
    if head is None:
        return None
    size, = struct.unpack(">i", head)
    if not 0 < size <= FRAME_BYTES_MAX:
        raise OSError("no frame of Kafka's")
    body = _exactly(connection, size)
    return None if body is None else head + body


def _exactly(connection, size):
    data = bytearray(size)
    view = memoryview(data)
    filled = 0
    while filled < size:
        count = connection.recv_into(view[filled:])
        if count == 0:
            return None
        filled += count
    return bytes(data)


def _reset(connection):
    """Closes so that the other side gets a reset; threads that read from it wake up."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
