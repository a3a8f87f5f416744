// What the sidecar needs of a search engine or a cache: the interface behind which the kinds of index differ.
//
// An index holds one document for each row of a copy. Deliveries (delivery.hpp) read documents from the copy and write
// them here, each with the version of the snapshot it was read in; the engine refuses an older one, so a write that
// comes late, or again, changes nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "sidecar/index/settings.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// Place of a write among all writes to an index: the later wins. Positive as an int64: 12 bits of the server's
// timeline, then the position of the copy divided by 8: positions go back only where a new timeline begins.
using IndexVersion = uint64_t;

// A document, or that there is none. The views must live until the call that takes it has returned.
struct Document {
  std::string_view key;     // JSON object of the key columns, as PostgreSQL prints it: the identity
  std::string_view id;      // text made of the key: the _id of a search engine
  std::string_view target;  // key in Redis that holds it, made by the options' pattern
  std::string_view member;  // of a set or sorted set in Redis
  // JSON object of a row's columns; for shape "hash" all its values are strings; for "sorted_set" the score; for "set"
  // empty. nullopt: the document is to be gone.
  std::optional<std::string_view> content;
  std::string_view digest;  // of content, 32 hexadecimal digits; empty where there is none
};

struct IndexColumn {
  std::string name;
  std::string type;  // as format_type() prints it, without modifier and "[]"; of a domain its base type
  bool is_array = false;
};

// What create_index was told of an index, and what it has become.
struct IndexDefinition {
  std::string name;        // of the copy when it was created, without its schema; the option "index" goes before it
  std::string owner;       // tells ours from those of others: a random UUID of the index
  int64_t generation = 1;  // grows by each rebuild
  nlohmann::json options;  // an object
  std::vector<IndexColumn> columns;
};

// What an index was found to be.
struct OpenedIndex {
  // Another one means that it was made anew behind our back, and holds nothing that is known.
  std::string identity;
  // Highest version that was ever written to it; nullopt: it cannot tell. Less than what was acknowledged means that
  // the engine has gone back in time.
  std::optional<IndexVersion> version;
  // It was made by this very call, and holds nothing.
  bool is_new = false;
  // Readers find it as publish() would have it. Otherwise they do not yet, or somebody has taken its name away.
  bool is_published = true;
};

// A document that the engine will not take, however often it is sent.
struct RefusedDocument {
  std::size_t place;  // in its batch
  std::string reason;
};

// What the index has of a document.
struct FoundDocument {
  bool present = false;
  bool equal = false;    // its contents are those expected
  bool foreign = false;  // somebody else has written it since
  bool stale = false;    // nobody has: it is what we wrote once
  std::optional<IndexVersion> version;
  std::string actual;  // as far as it can be shown: JSON of bounded length (shown.hpp), or empty
};

// Whether a document of ours may have that key: what an engine holds, others may have written.
inline bool may_be_key(std::string_view text) {
  return text.starts_with('{');  // whether it is one, the home database knows: what numbers it may have, for one
}

// A document that the index holds, whatever the copy says.
struct HeldDocument {
  std::string key;  // empty where nobody knows it: it is not ours
  std::string id, target, member;
};

struct HeldPage {
  std::vector<HeldDocument> documents;
  std::string part;  // which part of the index it is, for extra()
  std::string next;  // where to go on; empty: that was all
};

// A failure of the engine. what() says in one line what and where, never a secret.
class IndexError : public std::runtime_error {
 public:
  enum class Kind {
    unreachable,  // nobody answers, or not in time
    busy,         // it asks for less: 429, 503, out of memory
    refused       // it will not, before somebody has done something: remedy() says what
  };
  IndexError(Kind kind, const std::string& message, std::string remedy)
      : std::runtime_error(message), kind_(kind), remedy_(std::move(remedy)) {}
  Kind kind() const { return kind_; }
  const std::string& remedy() const { return remedy_; }

 private:
  Kind kind_;
  std::string remedy_;
};

// Batches of documents on their way to an index. Called by the thread that writes them.
class DocumentStream {
 public:
  virtual ~DocumentStream() = default;
  // The next batch, its documents, each of another key, valid until it has been finished. nullopt: there will be none;
  // without `wait` also when none is ready yet, and it returns at once.
  virtual std::optional<std::span<const Document>> next(bool wait) = 0;
  // Every document of the first batch that was not finished before has been acknowledged, or is among `refused`.
  virtual void finish(std::vector<RefusedDocument> refused) = 0;
};

// One generation of an index at its engine. Not for two threads at a time. Every call that speaks to the engine ends
// with its answer or throws IndexError, and Interrupted when the Stop it was made with is requested.
class ExternalIndex {
 public:
  virtual ~ExternalIndex() = default;

  // Reads the options, connects, makes what is not there yet, and says what it found. To be called first, and again
  // after an IndexError. `token` fences: a writer with a lower one is refused from then on, where the engine can do
  // that.
  virtual OpenedIndex open(uint64_t token) = 0;

  // Writes documents, batch after batch until the stream ends, in requests of at most IndexSettings::bulk_bytes_max;
  // returns when all have been acknowledged or refused. A document whose newer version is there is left as it is. An
  // engine that takes several requests at once is not kept waiting between batches.
  virtual void write_all(DocumentStream& stream, IndexVersion version) = 0;
  // One batch. Without documents it is a mark: when open() tells that version, all that was written before is there.
  std::vector<RefusedDocument> write(std::span<const Document> documents, IndexVersion version);

  // Whatever was written is found by readers when this returns.
  virtual void make_visible() = 0;
  // How long written documents may wait for make_visible(); 0: readers find them at once.
  virtual std::chrono::milliseconds visible_within() const = 0;

  // Compares what the index has now with what is expected; one answer for each, in order.
  virtual std::vector<FoundDocument> inspect(std::span<const Document> expected) = 0;

  // Everything that the index holds, page by page. `after` is empty, or a page's `next`. What is written meanwhile may
  // or may not be among it.
  virtual HeldPage scan(const std::string& after) = 0;
  // What is too much of a page: all but the documents of `expected`, which is what the copy has of the page's keys. The
  // id of a held document is known from here only.
  virtual std::vector<HeldDocument> extra(const HeldPage& page, std::span<const Document> expected) = 0;

  // Whether a new generation lies beside the one before. Otherwise they are one.
  virtual bool side_by_side() const = 0;
  // Readers find this generation, without a moment between, and older ones are gone.
  virtual void publish() = 0;
  // Removes the index, all generations of it. What is not there is none to remove, whatever the options say.
  virtual void drop() = 0;
};

// The index of a definition at its engine; nothing is connected yet, and no option read. Throws IndexError (refused)
// for addresses of a search engine that are none; open() does for what else cannot be understood. `settings` is copied,
// `stop` must outlive the object.
std::unique_ptr<ExternalIndex> make_index(const IndexSettings& settings, IndexDefinition definition, const Stop& stop);

// Connects to an engine as an index does, and says what it is, "redis 7 at 127.0.0.1:6379"; changes nothing there.
// Throws IndexError.
std::string describe_engine(const IndexSettings& settings, const Stop& stop);

}  // namespace anabranch
