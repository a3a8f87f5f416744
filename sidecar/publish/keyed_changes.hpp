// What a change of a row becomes in the topics: one record, or two where its key has changed.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/publish/format.hpp"
#include "sidecar/publish/tables.hpp"

namespace anabranch {

struct KeyedChange {
  PublishedChange change;  // without its number
  std::string_view key;
  const Gap* keyless = nullptr;  // why the record has no key: nothing of the row could be sent
};

// Which column of the key is one of `gaps`; nullptr: none.
const Gap* gap_in_key(const PublishedTable& table, const std::vector<Gap>* gaps);

// Not for two threads at a time.
class KeyedChanges {
 public:
  // The records of an insert, an update or a delete, in the order in which they are numbered: where the key has changed
  // a remove under the old one, then an insert under the new one. They point into `change` and into this object, and
  // are valid until the next call. Throws PublishStopped where there is no key to be had, FormatError.
  std::span<const KeyedChange> of(const Change& change, const PublishedTable& table);

 private:
  std::span<const KeyedChange> one(const PublishedChange& told, RowOperation operation, std::string_view key);

  std::array<KeyedChange, 2> records_;
  std::string key_, former_key_;
  std::string filled_;             // the new row, with what was left out as unchanged taken from the old one
  std::vector<uint32_t> unknown_;  // columns that are in neither
};

}  // namespace anabranch
