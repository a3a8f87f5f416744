\echo Use "CREATE EXTENSION anabranch" to load this file. \quit

-- The extension's catalog and functions: the files of sql/install, in the order that the Makefile gives them.
--
-- Three rules hold for the whole script, and test/sql/catalog_rules.sql checks them. Nothing is taken over: no CREATE OR
-- REPLACE, no IF NOT EXISTS (an object planted beforehand makes the installation fail). Every function pins its search_path.
-- Nothing is executable by PUBLIC but what grants.sql lists.

-- The schema is created here, not by the control file: CREATE EXTENSION would take over one that exists.
CREATE SCHEMA anabranch;
COMMENT ON SCHEMA anabranch IS 'Anabranch: secondary copies of tables, kept in step from the WAL';

CREATE SCHEMA anabranch_data;
COMMENT ON SCHEMA anabranch_data IS 'state tables of copies; written by anabranch alone, read through the copies'' views';

CREATE SCHEMA anabranch_stream;
COMMENT ON SCHEMA anabranch_stream IS
  'streams: tables whose rows are logical messages of the prefix they are called by (anabranch.import_stream); sources for copies';

-- Roles belong to the cluster, and another of its databases may have made them already.
DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['anabranch_monitor', 'anabranch_operator', 'anabranch_sidecar'] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role) THEN
      EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role);
    END IF;
  END LOOP;
END
$$;
