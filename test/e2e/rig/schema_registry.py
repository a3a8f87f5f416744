"""A schema registry; a face for scripts/schema-registry.sh."""

from rig.script import ScriptedServer, request


class SchemaRegistry(ScriptedServer):
    """It forgets all schemas when it is stopped or killed."""

    script = "schema-registry.sh"

    @property
    def url(self):
        """What clients are given."""
        return self.address

    def request(self, path, body=None, method=None):
        """(HTTP status, answer) of a request of Confluent's API, "/subjects" for one."""
        return request(self.address + path, body, method, "application/vnd.schemaregistry.v1+json")

    def schema(self, identifier):
        """(type, text) of a schema, as a reader of Confluent's framing looks it up."""
        status, answer = self.request(f"/schemas/ids/{identifier}")
        assert status == 200, answer
        return answer.get("schemaType", "AVRO"), answer["schema"]
