#include "extension/publication.hpp"

extern "C" {
#include <catalog/partition.h>
#include <catalog/pg_publication.h>
#include <catalog/pg_publication_rel.h>
#include <utils/acl.h>
}

#include "extension/elevated.hpp"
#include "extension/table.hpp"

namespace anabranch {
namespace {

const char* publication_name() {
  const char* name = nullptr;
  as_extension_owner([&] {
    SPI_execute("SELECT anabranch.home_publication()", true, 1);
    const char* found = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
    name = strcpy(static_cast<char*>(SPI_palloc(strlen(found) + 1)), found);
  });
  return name;
}

void execute(const char* statement) {
  as_extension_owner([&] {
    const int result = SPI_execute(statement, false, 0);
    if (result < 0) elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
  });
}

void refuse_incomplete(const char* publication, Oid table, const char* what) {
  ereport(ERROR,
          (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
           errmsg("publication \"%s\" does not publish every change of table %s", publication, table_name(table)),
           errdetail("It %s.", what),
           errhint("Publish whole rows and all operations: drop the table from the publication, or change the "
                   "publication with ALTER PUBLICATION.")));
}

// True when the table is listed by name; raises when only some of its rows or columns are.
bool listed(Oid publication, const char* name, Oid table) {
  HeapTuple tuple = SearchSysCache2(PUBLICATIONRELMAP, ObjectIdGetDatum(table), ObjectIdGetDatum(publication));
  if (!HeapTupleIsValid(tuple)) return false;
  if (!heap_attisnull(tuple, Anum_pg_publication_rel_prqual, nullptr))
    refuse_incomplete(name, table, "has a row filter for it");
  if (!heap_attisnull(tuple, Anum_pg_publication_rel_prattrs, nullptr))
    refuse_incomplete(name, table, "has a column list for it");
  ReleaseSysCache(tuple);
  return true;
}

bool published(const Publication* publication, Oid table) {
  return publication->alltables || listed(publication->oid, publication->name, table) ||
         list_member_oid(GetSchemaPublications(get_rel_namespace(table)), publication->oid);
}

void refuse_partition(const Publication* publication, Oid table) {
  if (!get_rel_relispartition(table)) return;
  ListCell* cell;
  foreach (cell, get_partition_ancestors(table))
    if (publication->pubviaroot && published(publication, lfirst_oid(cell)))
      ereport(ERROR,
              (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
               errmsg("table %s cannot be a source: its changes are published as those of %s", table_name(table),
                      table_name(lfirst_oid(cell))),
               errhint("Select from %s, with the partition's bounds as the condition.", table_name(lfirst_oid(cell)))));
}

// The server refuses every UPDATE and DELETE on a table that writes whole old rows and has a generated column that the
// publication leaves out. A virtual one none can take in.
void refuse_generated(const Publication* publication, Oid table) {
  constexpr char virtual_column = 'v';
  ListCell* cell;
  foreach (cell, leaf_tables(table)) {
    Relation leaf = table_open(lfirst_oid(cell), AccessShareLock);
    TupleDesc columns = RelationGetDescr(leaf);
    for (int i = 0; i < columns->natts && leaf->rd_rel->relreplident == REPLICA_IDENTITY_FULL; i++) {
      const Form_pg_attribute column = TupleDescAttr(columns, i);
      if (column->attisdropped || column->attgenerated == '\0') continue;
      if (column->attgenerated == virtual_column)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("UPDATE and DELETE on table %s would fail: column \"%s\" is virtual",
                               table_name(RelationGetRelid(leaf)), NameStr(column->attname)),
                        errdetail("The server refuses them where a table is published, writes whole old rows and has "
                                  "a virtual generated column."),
                        errhint("Make the column STORED. Or define a copy that can do with the primary key in old "
                                "rows, and run ALTER TABLE ONLY %s REPLICA IDENTITY DEFAULT.",
                                table_name(RelationGetRelid(leaf)))));
      if (!publishes_generated(publication))
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("UPDATE and DELETE on table %s would fail: publication \"%s\" leaves out column \"%s\"",
                               table_name(RelationGetRelid(leaf)), publication->name, NameStr(column->attname)),
                        errhint("Run ALTER PUBLICATION %s SET (publish_generated_columns = stored), or anabranch init.",
                                quote_identifier(publication->name))));
    }
    table_close(leaf, NoLock);
  }
}

// Once the root is published, changes of its partitions come as changes of the root, and a copy of a partition alone
// would see no more of them.
void refuse_root_of_source(Oid table) {
  if (get_rel_relkind(table) != RELKIND_PARTITIONED_TABLE) return;
  char* copy = nullptr;
  as_extension_owner([&] {
    SPI_execute(psprintf("SELECT s.copy::text FROM anabranch.definition_source AS s "
                         "JOIN pg_partition_tree(%u) AS t ON t.relid = s.relation WHERE t.level > 0 LIMIT 1",
                         table),
                true, 1);
    if (SPI_processed == 0) return;
    const char* found = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
    copy = strcpy(static_cast<char*>(SPI_palloc(strlen(found) + 1)), found);
  });
  if (copy != nullptr)
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_IN_USE),
             errmsg("table %s cannot be published: copy %s reads one of its partitions", table_name(table), copy),
             errhint("Drop that copy, and define it over %s with the partition's bounds as the condition.",
                     table_name(table))));
}

}  // namespace

void publish_table(Oid table) {
  const char* name = publication_name();
  const char* quoted = quote_identifier(name);
  if (!OidIsValid(get_publication_oid(name, true)))
    execute(psprintf("CREATE PUBLICATION %s FOR TABLE anabranch.ddl WITH (%s)", quoted, publication_options));
  Publication* publication = GetPublicationByName(name, false);
  const PublicationActions& actions = publication->pubactions;
  if (!actions.pubinsert || !actions.pubupdate || !actions.pubdelete || !actions.pubtruncate)
    refuse_incomplete(name, table, "leaves out an operation");
  if (get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE && !publication->pubviaroot)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("publication \"%s\" publishes partitions under their own names", name),
                    errhint("Run ALTER PUBLICATION %s SET (publish_via_partition_root = true).", quoted)));
  refuse_partition(publication, table);
  refuse_generated(publication, table);
  const Oid ddl = get_relname_relid("ddl", get_namespace_oid("anabranch", false));
  if (!published(publication, ddl)) execute(psprintf("ALTER PUBLICATION %s ADD TABLE anabranch.ddl", quoted));
  if (published(publication, table)) return;
  refuse_root_of_source(table);
  const bool partitioned = get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE;
  const char* command =
      psprintf("ALTER PUBLICATION %s ADD TABLE %s%s", quoted, partitioned ? "" : "ONLY ", table_name(table));
  if (!object_ownercheck(RelationRelationId, table, GetUserId()))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("table %s is not published, and only its owner may have it published", table_name(table)),
                    errhint("Ask an administrator to run %s.", command)));
  execute(command);
}

}  // namespace anabranch
