#include "extension/elevated.hpp"

extern "C" {
#include <catalog/pg_namespace.h>
}

namespace anabranch {

Oid extension_owner() {
  HeapTuple tuple = SearchSysCache1(NAMESPACENAME, CStringGetDatum("anabranch"));
  if (!HeapTupleIsValid(tuple))
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_SCHEMA), errmsg("extension \"anabranch\" is not installed in this database"),
             errhint("Run CREATE EXTENSION anabranch.")));
  const Oid owner = reinterpret_cast<Form_pg_namespace>(GETSTRUCT(tuple))->nspowner;
  ReleaseSysCache(tuple);
  return owner;
}

}  // namespace anabranch
