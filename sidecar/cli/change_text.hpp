// Changes as lines that people read.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "sidecar/log/change_log.hpp"

namespace anabranch {

// Remembers the tables it has met. Rows are shown as JSON, times in ISO 8601; what an update did not touch and did not
// send, and what could not be sent, is named behind. The text is made printable.
class ChangeText {
 public:
  ChangeText();
  ~ChangeText();

  // "update public.orders {"id":7,"total":12.50}", without a line's end. Throws FormatError on rows that do not fit
  // their table's description.
  std::string line(const Change& change);

 private:
  struct Table;
  Table& table(const Relation& relation);

  std::unordered_map<std::string, std::unique_ptr<Table>> tables_;  // by the bytes of the description
};

}  // namespace anabranch
