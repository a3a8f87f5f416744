-- Looking at what the decoder sends.

CREATE FUNCTION anabranch.decode(frames bytea) RETURNS SETOF jsonb
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_decode';
COMMENT ON FUNCTION anabranch.decode(bytea) IS
  'the records of a frame of the decoder, or of several appended to one another, as JSON; rows by column name where the relation is described among them, by attribute number otherwise';

CREATE FUNCTION anabranch.proto_schema(relation regclass) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_proto_schema';
COMMENT ON FUNCTION anabranch.proto_schema(regclass) IS
  'the .proto of a table: its row, key and record as they stand in a topic of format protobuf; column names and types are those of now';
