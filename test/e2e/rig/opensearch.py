"""An OpenSearch node; a face for scripts/opensearch.sh."""

from rig.script import ScriptedServer, request


class OpenSearch(ScriptedServer):
    """`settings`: {name: value} of opensearch.yml. What it has acknowledged outlives kill()."""

    script = "opensearch.sh"

    def __init__(self, directory, name, settings=None):
        super().__init__(directory, name, *[f"{key}={value}" for key, value in (settings or {}).items()])

    def request(self, method, path, body=None):
        """(HTTP status, answer); `body`: an object, or a list of them, one a line, as bulk requests have them."""
        return request(self.address + path, body, method)
