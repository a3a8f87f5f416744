// The database that is published: SourceView over an SQL session, and a walsender session for what only that tells.
#pragma once

#include <optional>
#include <string>

#include "sidecar/pg/connection.hpp"
#include "sidecar/publish/publisher.hpp"

namespace anabranch {

class PgSource final : public SourceView {
 public:
  // Connects. Throws PgError. `prefix` and `source` are for what is reported.
  PgSource(ConnectOptions options, std::string slot, std::string source, std::string prefix);

  Connection& connection() { return connection_; }
  // Its name.
  std::string database();

  SourceFacts facts(uint32_t timeline) override;
  Snapshot snapshot() override;
  Lsn wal_end() override;
  std::optional<std::string> renew_witness(const std::string& recorded, const std::string& known) override;
  void report(const PublisherReport& report) override;
  void park(const std::vector<ParkedValue>& values) override;
  void drop_slot() override;

 private:
  const ConnectOptions options_;
  const std::string slot_, source_, prefix_, host_;
  Connection connection_;
};

}  // namespace anabranch
