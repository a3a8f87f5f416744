#include "extension/postgres.hpp"

#include "decoder/guard.hpp"

#include "decoder/value.hpp"

namespace anabranch {

namespace {

constexpr size_t message_size_max = 1000;

bool is_about_data(int code, bool is_large) {
  if (code == ERRCODE_UNDEFINED_FILE) return true;  // the library of a type is gone: its other columns are still good
  switch (ERRCODE_TO_CATEGORY(code)) {
    case ERRCODE_INSUFFICIENT_RESOURCES:
      return is_large && code == ERRCODE_OUT_OF_MEMORY;
    case ERRCODE_OPERATOR_INTERVENTION:
    case ERRCODE_SYSTEM_ERROR:
      return false;
    default:
      return true;
  }
}

// What there is to keep of an error that has been cleaned up after.
void describe(ErrorData* error, Failure* failure) {
  failure->sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
  const char* message = error->message ? error->message : "";
  failure->message = readable_utf8(pnstrdup(message, Min(strlen(message), message_size_max)));
  FreeErrorData(error);
}

}  // namespace

bool guard(void (*body)(void*), void* argument, bool is_large, Failure* failure) {
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  ErrorData* volatile error = nullptr;
  PG_TRY();
  { body(argument); }
  PG_CATCH();
  {
    if (!is_about_data(geterrcode(), is_large)) PG_RE_THROW();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    error = CopyErrorData();
    FlushErrorState();
  }
  PG_END_TRY();
  if (error == nullptr) return true;
  describe(error, failure);
  return false;
}

bool guard_in_subtransaction(void (*body)(void*), void* argument, bool is_large, Failure* failure) {
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  ErrorData* volatile error = nullptr;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(context);
  PG_TRY();
  {
    body(argument);
    ReleaseCurrentSubTransaction();
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    error = CopyErrorData();
    FlushErrorState();
    RollbackAndReleaseCurrentSubTransaction();
  }
  PG_END_TRY();
  MemoryContextSwitchTo(context);
  CurrentResourceOwner = owner;
  if (error == nullptr) return true;
  if (!is_about_data(error->sqlerrcode, is_large)) ReThrowError(error);
  describe(error, failure);
  return false;
}

const char* readable_utf8(const char* text) {
  Value value;
  value.data = text;
  value.size = strlen(text);
  // Other conversions than none at all are found in the catalogs.
  bool can_convert =
      GetDatabaseEncoding() == PG_UTF8 || (GetDatabaseEncoding() != PG_SQL_ASCII && IsTransactionState());
  if (can_convert && text_to_utf8(&value)) return value.data;
  if (pg_verify_mbstr(PG_UTF8, text, static_cast<int>(value.size), true)) return text;
  char* result = pstrdup(text);
  for (char* at = result; *at; ++at)
    if (static_cast<unsigned char>(*at) >= 0x80) *at = '?';
  return result;
}

}  // namespace anabranch
