// Hash tables of row bytes, which consolidation nets changes in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "sidecar/apply/arena.hpp"

namespace anabranch {

// A hash of bytes by folded multiplication, 16 bytes a step. The seed is drawn once per process, so that nobody can
// choose rows that collide.
uint32_t hash_bytes(std::string_view bytes, uint64_t seed);
extern const uint64_t hash_seed;

// Entries in the order of their insertion, found by hash: open addressing, linear probing, at most half full. A slot
// holds 32 bits of the hash beside the entry's number, so that a probe seldom touches an entry that is not the one
// looked for, and the table grows without touching any.
template <typename Entry>
class EntryTable {
 public:
  // The entry for which `equals` holds, or nullptr.
  template <typename Equals>
  Entry* find(uint32_t hash, Equals equals) {
    if (slots_.empty()) return nullptr;
    for (size_t slot = hash & mask_; slots_[slot].number != 0; slot = (slot + 1) & mask_) {
      if (slots_[slot].hash != hash) continue;
      Entry& entry = entries_[slots_[slot].number - 1];
      if (equals(entry)) return &entry;
    }
    return nullptr;
  }

  // Adds an entry that find() has not found. Entries move: keep no pointer over it.
  Entry& add(uint32_t hash, const Entry& entry) {
    if ((entries_.size() + 1) * 2 > slots_.size()) grow();
    entries_.push_back(entry);
    put({hash, static_cast<uint32_t>(entries_.size())});
    return entries_.back();
  }

  const std::vector<Entry>& entries() const { return entries_; }
  size_t bytes() const { return slots_.capacity() * sizeof(Slot) + entries_.capacity() * sizeof(Entry); }

  // Keeps memory for a batch of the same size, unless it was an exceptional one.
  void clear() {
    if (entries_.size() > kept_max) {
      *this = EntryTable();
      return;
    }
    entries_.clear();
    std::fill(slots_.begin(), slots_.end(), Slot{});
  }

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t number = 0;  // of the entry, from 1; 0: free
  };
  static constexpr size_t kept_max = 1 << 18;

  void put(Slot filled) {
    size_t slot = filled.hash & mask_;
    while (slots_[slot].number != 0) slot = (slot + 1) & mask_;
    slots_[slot] = filled;
  }

  void grow() {
    std::vector<Slot> old(slots_.empty() ? 64 : slots_.size() * 2);
    old.swap(slots_);
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old)
      if (slot.number != 0) put(slot);
  }

  std::vector<Slot> slots_;
  std::vector<Entry> entries_;
  size_t mask_ = 0;
};

// Row images with signed weights.
class ImageTable {
 public:
  struct Entry {
    const char* image;
    uint32_t size;
    uint32_t source;
    int64_t weight;
    uint64_t xid;
  };

  // The image is copied into the arena if it is new; it may stand in the room that was reserved there last.
  void add(Arena& arena, std::string_view image, uint32_t source, uint64_t xid, int weight);

  const std::vector<Entry>& entries() const { return table_.entries(); }
  size_t bytes() const { return table_.bytes(); }
  void clear() { table_.clear(); }

 private:
  EntryTable<Entry> table_;
};

// The last state of each key.
class KeyTable {
 public:
  struct Entry {
    const char* key;
    const char* row;  // its image, while it is there
    uint32_t key_size;
    uint32_t row_size;
    uint32_t row_room;  // bytes that may be overwritten at `row`
    uint32_t source;
    uint64_t xid;
    bool present;
    bool born;  // its first change in the batch was an insert: before, there was none
  };

  // The key has this row now. `born`: by an insert, or by a change of key.
  void put(Arena& arena, std::string_view key, std::string_view row, uint32_t source, uint64_t xid, bool born);
  void remove(Arena& arena, std::string_view key, uint32_t source, uint64_t xid);

  const std::vector<Entry>& entries() const { return table_.entries(); }
  size_t bytes() const { return table_.bytes(); }
  void clear() { table_.clear(); }

 private:
  Entry& entry_of(Arena& arena, std::string_view key, uint32_t source, bool born);

  EntryTable<Entry> table_;
};

}  // namespace anabranch
