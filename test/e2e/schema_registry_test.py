"""The registry that tests of formats stand on speaks Confluent's REST API as its clients expect."""

AVRO = '{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}%s]}'
PROTOBUF = 'syntax = "proto3";\nmessage Order { int64 id = 1; }\n'


def test_registers_finds_and_refuses(schema_registry):
    ask = schema_registry.request
    status, first = ask("/subjects/rig-avro-value/versions", {"schema": AVRO % ""})
    assert status == 200, first
    assert ask("/subjects/rig-avro-value/versions", {"schema": AVRO % ""}) == (200, first), "the same schema is the same number"
    status, second = ask("/subjects/rig-proto-value/versions", {"schema": PROTOBUF, "schemaType": "PROTOBUF"})
    assert status == 200 and second["id"] != first["id"], second
    assert schema_registry.schema(first["id"])[0] == "AVRO"
    assert schema_registry.schema(second["id"]) == ("PROTOBUF", PROTOBUF)
    assert {"rig-avro-value", "rig-proto-value"} <= set(ask("/subjects")[1])

    assert ask("/config/rig-avro-value", {"compatibility": "BACKWARD"}, "PUT")[0] == 200
    status, refused = ask("/subjects/rig-avro-value/versions", {"schema": AVRO % ', {"name": "must", "type": "string"}'})
    assert (status, refused["error_code"]) == (409, 409), refused
    status, unknown = ask("/schemas/ids/987654")
    assert (status, unknown["error_code"]) == (404, 40403), unknown
    assert ask("/subjects/rig-bad-value/versions", {"schema": "{"})[0] == 422


def test_what_was_killed_starts_empty_at_its_address(make_schema_registry):
    schema_registry = make_schema_registry()
    schema_registry.request("/subjects/rig-forgotten-value/versions", {"schema": AVRO % ""})
    schema_registry.kill()
    schema_registry.start()
    assert "rig-forgotten-value" not in schema_registry.request("/subjects")[1]
