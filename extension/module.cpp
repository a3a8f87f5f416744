// The library's magic block. What it offers is declared where it is defined.
#include "extension/postgres.hpp"

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_MODULE_MAGIC;
}
ANABRANCH_EXPORTS_END
