"""A schema registry; a face for scripts/schema-registry.sh."""

import json
import pathlib
import urllib.error
import urllib.request

from rig.script import SCRIPTS, run

SCRIPT = SCRIPTS / "schema-registry.sh"


class SchemaRegistry:
    """Started by the constructor; waits until it answers. `url` is what clients are given."""

    def __init__(self, directory, name):
        self.path = pathlib.Path(directory, name).resolve()
        self.url = self._script("start").strip()

    def _script(self, command):
        return run(SCRIPT, command, self.path)

    def start(self):
        self._script("start")

    def kill(self):
        """It forgets all schemas."""
        self._script("kill")

    def destroy(self):
        self._script("destroy")

    def request(self, path, body=None, method=None):
        """(HTTP status, answer) of a request of Confluent's API, "/subjects" for one."""
        request = urllib.request.Request(
            self.url + path, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/vnd.schemaregistry.v1+json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def schema(self, identifier):
        """(type, text) of a schema, as a reader of Confluent's framing looks it up."""
        status, answer = self.request(f"/schemas/ids/{identifier}")
        assert status == 200, answer
        return answer.get("schemaType", "AVRO"), answer["schema"]
