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
#include <catalog/pg_class.h>
#include <catalog/pg_namespace.h>
#include <catalog/pg_proc.h>
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
#include <nodes/nodeFuncs.h>
#include <nodes/parsenodes.h>
#include <optimizer/optimizer.h>
#include <port/pg_crc32c.h>
#include <replication/logical.h>
#include <replication/message.h>
#include <replication/origin.h>
#include <replication/output_plugin.h>
#include <replication/reorderbuffer.h>
#include <utils/acl.h>
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

#include "extension/server_versions.hpp"
