// Documents as the home database hands them out, sorted into those that can be sent and those that no index can have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sidecar/index/index.hpp"
#include "sidecar/pg/result.hpp"

namespace anabranch {

// A document that will not be in the index, for the table of dead letters.
struct ParkedDocument {
  std::string key;  // JSON
  int64_t bytes = 0;
  std::string reason;
};

// What one of the functions *_documents of the extension has returned. Movable; `documents` points into it.
class DocumentBatch {
 public:
  // Takes a result with the columns key, id, target, member, content, digest, rows.
  explicit DocumentBatch(Result rows);

  // Each of another key.
  const std::vector<Document>& documents() const { return documents_; }
  // Those whose key has a NULL, or is that of several rows.
  const std::vector<ParkedDocument>& parked() const { return parked_; }
  std::size_t rows() const { return rows_.rows(); }
  int64_t bytes() const { return bytes_; }  // of all contents
  // Key of the last row; empty without rows.
  std::string last_key() const;
  // Keys with a NULL that were asked for: whether they are of documents, keyless() tells.
  const std::vector<std::string>& keyless() const { return keyless_; }

 private:
  Result rows_;
  std::vector<Document> documents_;
  std::vector<ParkedDocument> parked_;
  int64_t bytes_ = 0;
  std::vector<std::string> keyless_;
};

// The keys of a page as a JSON list of texts, to ask the copy for: others may have written what jsonb does not take.
std::string keys_of(const HeldPage& page);

// Without those that are left as they are: of a key that several rows have, nobody knows which document is right.
std::vector<HeldDocument> without_parked(std::vector<HeldDocument> held, const DocumentBatch& expected);

// Held documents as such that are to be gone. They point into `held`.
std::vector<Document> as_gone(const std::vector<HeldDocument>& held);

}  // namespace anabranch
