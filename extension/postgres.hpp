// The only include of server headers, for both libraries. Include it first in each file, as the server's own rule says.
//
// The pragma keeps the server's headers out of our warnings; extern "C" gives them their linkage.
#pragma once
#pragma GCC system_header

extern "C" {
#include <postgres.h>

#include <access/attmap.h>
#include <access/detoast.h>
#include <access/genam.h>
#include <access/htup_details.h>
#include <access/table.h>
#include <access/transam.h>
#include <access/xact.h>
#include <catalog/namespace.h>
#include <catalog/partition.h>
#include <catalog/pg_publication.h>
#include <catalog/pg_publication_namespace.h>
#include <catalog/pg_publication_rel.h>
#include <catalog/pg_type.h>
#include <commands/defrem.h>
#include <executor/executor.h>
#include <executor/spi.h>
#include <fmgr.h>
#include <funcapi.h>
#include <lib/stringinfo.h>
#include <mb/pg_wchar.h>
#include <miscadmin.h>
#include <nodes/makefuncs.h>
#include <port/pg_crc32c.h>
#include <replication/logical.h>
#include <replication/origin.h>
#include <replication/output_plugin.h>
#include <utils/builtins.h>
#include <utils/fmgroids.h>
#include <utils/fmgrprotos.h>
#include <utils/guc.h>
#include <utils/inval.h>
#include <utils/lsyscache.h>
#include <utils/memutils.h>
#include <utils/pg_lsn.h>
#include <utils/rel.h>
#include <utils/snapmgr.h>
#include <utils/syscache.h>
#include <utils/varlena.h>
}

// PostgreSQL 15 does not mark what a library exports; under hidden visibility the magic block and the entry points must
// be.
#define ANABRANCH_EXPORTS_BEGIN _Pragma("GCC visibility push(default)")
#define ANABRANCH_EXPORTS_END _Pragma("GCC visibility pop")

// Tree walkers and mutators are declared without parameters before PostgreSQL 16.
#if PG_VERSION_NUM >= 160000
#define ANABRANCH_WALKER(function) reinterpret_cast<tree_walker_callback>(function)
#define ANABRANCH_MUTATOR(function) reinterpret_cast<tree_mutator_callback>(function)
#else
#define ANABRANCH_WALKER(function) reinterpret_cast<bool (*)()>(function)
#define ANABRANCH_MUTATOR(function) reinterpret_cast<Node* (*)()>(function)
#endif
