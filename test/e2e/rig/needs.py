"""What the runner has to know of a test before it starts it."""

import inspect


def needs(seconds=0, servers=None, alone=False):
    """Of a test: about how long it takes where that is more than half a minute, so that long ones are begun first; how many
    Java servers of its own it runs, by default one for each of `make_kafka`, `make_schema_registry` and `make_opensearch` that
    it asks for; whether nothing may run beside it."""
    def mark(function):
        function.needs = {"seconds": seconds, "servers": servers, "alone": alone}
        return function
    return mark


class Test:
    def __init__(self, name, function):
        self.name, self.function, self.repeated = name, function, False
        self.parameters = inspect.signature(function).parameters.keys()
        told = getattr(function, "needs", {})
        self.seconds, self.alone = told.get("seconds", 0), told.get("alone", False)
        own = {"make_kafka", "make_schema_registry", "make_opensearch"} & self.parameters
        self.servers = len(own) if told.get("servers") is None else told["servers"]
