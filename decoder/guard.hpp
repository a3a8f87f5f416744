// Running what may raise on data, so that it does not end the decoding session.
//
// A plugin that raises is called again with the same change for ever, while the slot keeps WAL. So errors of output
// functions, of taking values out of TOAST and of row filters become part of the stream ("omitted", with the message).
//
// Why it is safe to go on after an error in a change callback:
//
// - Everything such a function acquires (buffer pins, relation and catalog cache references, locks) belongs to the
// current
//   resource owner, its memory to the current memory context.
// - guard_in_subtransaction() opens an internal subtransaction round it, exactly as PL/pgSQL's EXCEPTION does; its
// abort releases
//   all of that. The replay of a transaction itself runs in one (SQL interface) or directly in a transaction
//   (walsender); both allow a further level. It takes no transaction id, since nothing is written, and does not touch
//   the historic snapshot, which is process-wide state outside the snapshot stack. But it costs microseconds, too much
//   for every change.
// - guard() has no subtransaction: after an error the references stay with the transaction in which the reorder buffer
//   replays, and that one is always aborted in the end, which releases them without complaint. Callers therefore use it
//   optimistically, and switch to the other for what has failed once, so that at most one failure per column and cached
//   description is held until the end of the transaction.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

// What was raised. The texts are UTF-8 in the memory context that was current when the guard was entered.
struct Failure {
  const char* sqlstate = "";
  const char* message = "";
};

// Calls body(argument) in the current memory context. Returns false when it raised. Errors that are not about the data
// are raised again: cancellation and shutdown, I/O and resources (class 57, 58, 53), except exhausted memory and limits
// when `is_large` says that the data may well be the reason.
bool guard(void (*body)(void*), void* argument, bool is_large, Failure* failure);

// The same in an internal subtransaction.
bool guard_in_subtransaction(void (*body)(void*), void* argument, bool is_large, Failure* failure);

// Text of the server (names, messages) as UTF-8: where it cannot be converted and is not UTF-8 already, each byte
// outside ASCII becomes a question mark. Never raises on the text.
const char* readable_utf8(const char* text);

}  // namespace anabranch
