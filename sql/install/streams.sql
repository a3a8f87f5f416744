-- Logical messages as a source for copies.

CREATE FUNCTION anabranch.import_stream(prefix text, columns text) RETURNS regclass
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_import_stream';
COMMENT ON FUNCTION anabranch.import_stream(text, text) IS
  'makes the messages of a prefix, pg_logical_emit_message(true, prefix, json), a source for copies: the table anabranch_stream.<prefix> with these columns, which is empty and stays so';
