"""Kafka clusters, schema registries, Redis and OpenSearch servers: those that tests share which leave them whole, and others for one test each."""

import itertools


class Unavailable(Exception):
    """A server cannot be had on this machine: the test is skipped, by name."""


def start_kafka(directory, name, proxied=False, **how):
    try:  # here, since only who asks for a broker needs its client
        from rig.kafka import Kafka
        from rig.kafka_proxy import ProxiedKafka
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error}: scripts/install-dependencies.sh test") from error
    return (ProxiedKafka if proxied else Kafka)(directory, name, **how)


def start_schema_registry(directory, name):
    from rig.schema_registry import SchemaRegistry
    return SchemaRegistry(directory, name)


def start_redis(directory, name, **how):
    from rig.redis import Redis
    return Redis(directory, name, **how)


def start_opensearch(directory, name, **how):
    from rig.opensearch import OpenSearch
    return OpenSearch(directory, name, **how)


class Shared:
    """The runner's: one of each for all tests that ask for "kafka" and "schema_registry", at the same time, too;
    topics and subjects carry the tests' names. Each is started when it is first asked for, since a start takes seconds of
    both cores. A test that failed may have left it in any state: those that start later get a new one, and the old one ends
    with its last user."""

    _START = {"kafka": start_kafka, "schema_registry": start_schema_registry}

    def __init__(self, directory):
        self._directory = directory
        self._current = {}
        self._users = {}  # server: how many, of those that run
        self._numbers = itertools.count(1)

    def lend(self, wanted):
        """{parameter: server} of the parameters that are shared."""
        lent = {}
        for kind in self._START.keys() & wanted:
            if kind not in self._current:
                self._current[kind] = self._START[kind](self._directory, f"shared-{kind}-{next(self._numbers)}")
            lent[kind] = self._current[kind]
        for server in lent.values():
            self._users[server] = self._users.get(server, 0) + 1
        return lent

    def take_back(self, lent, failed):
        for kind, server in lent.items():
            self._users[server] -= 1
            if failed and self._current.get(kind) is server:
                del self._current[kind]
            if self._users[server] == 0 and self._current.get(kind) is not server:
                del self._users[server]
                server.destroy()

    def end(self):
        for server in {*self._users, *self._current.values()}:
            server.destroy()
        self._current, self._users = {}, {}


class Own:
    """Servers of one test, to be broken; they end with it. Parameters are those of what is made."""

    def __init__(self, directory, test_name):
        self._directory, self._name = directory, test_name
        self._servers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self._servers:
            server.destroy()

    def make_kafka(self, **how):
        return self._start(start_kafka, "kafka", **how)

    def make_schema_registry(self):
        return self._start(start_schema_registry, "schema-registry")

    def make_redis(self, **how):
        return self._start(start_redis, "redis", **how)

    def make_opensearch(self, **how):
        return self._start(start_opensearch, "opensearch", **how)

    def _start(self, start, kind, **how):
        self._servers.append(start(self._directory, f"{self._name}-{kind}-{len(self._servers) + 1}", **how))
        return self._servers[-1]
