// The tables that are published, beside the stream: ContentSource over two SQL sessions, one of them on a thread of its
// own.
#pragma once

#include <memory>
#include <string>

#include "sidecar/pg/connection.hpp"
#include "sidecar/publish/content.hpp"

namespace anabranch {

class PgContent final : public ContentSource {
 public:
  // `connection` is the publisher's, for work() and note(); it must outlive the object. `options`: of the session that
  // reads, which is opened when there is something to be read. `value_bytes_max`: of the large values of one row;
  // `published_bytes_max`: of a value that is published, larger ones are not read.
  PgContent(Connection& connection, ConnectOptions options, std::string publication, size_t value_bytes_max,
            size_t published_bytes_max);
  // Cancels what is being read.
  ~PgContent() override;

  std::vector<ContentTable> work() override;
  void note(const ContentReport& report) override;
  void order(const ChunkOrder& order) override;
  std::optional<ContentChunk> take() override;
  void drop() noexcept override;

 private:
  struct Reader;

  Connection& connection_;
  const std::string publication_;
  const std::unique_ptr<Reader> reader_;
};

}  // namespace anabranch
