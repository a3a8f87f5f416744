#include "sidecar/index/turn.hpp"

#include <fmt/format.h>

#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

std::optional<int64_t> optional_integer(const Result& result, std::size_t column) {
  if (result.null(0, column)) return std::nullopt;
  return result.integer(0, column);
}

DeliveryState read_state(const Result& row) {
  DeliveryState state;
  state.live = row.boolean(0, 0);
  state.watched = row.boolean(0, 1);
  state.lsn = row.optional_lsn(0, 2).value_or(Lsn{});
  state.as_of = row.optional_text(0, 3);
  state.timeline = row.integer(0, 4);
  state.token = static_cast<uint64_t>(row.integer(0, 5));
  state.number = row.integer(0, 6);
  state.upto = row.integer(0, 7);
  state.pending = row.integer(0, 8);
  state.generation = row.integer(0, 9);
  state.filled = row.integer(0, 10);
  state.swept_to = row.optional_text(0, 11);
  state.swept = row.integer(0, 12);
  state.delivered = row.optional_lsn(0, 13);
  if (const auto version = optional_integer(row, 14)) state.version = static_cast<IndexVersion>(*version);
  state.identity = row.optional_text(0, 15);
  state.refused = row.boolean(0, 16);
  state.frozen = row.boolean(0, 17);
  state.seen = row.text(0, 18);
  return state;
}

std::string json_list(const std::vector<std::string>& items) {
  return fmt::format("[{}]", fmt::join(items, ","));
}

std::string json_of(const std::vector<ParkedDocument>& parked, Lsn lsn) {
  std::vector<std::string> items;
  for (const ParkedDocument& document : parked) {
    const nlohmann::json rest = {{"lsn", lsn.to_string()}, {"bytes", document.bytes}, {"reason", document.reason}};
    // The engine's words may be cut within a character.
    std::string item = rest.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    item.insert(1, "\"key\":" + document.key + ",");
    items.push_back(std::move(item));
  }
  return json_list(items);
}

std::optional<std::string> text_of(const std::optional<Lsn>& lsn) {
  return lsn ? std::optional(lsn->to_string()) : std::nullopt;
}

std::optional<std::string> text_of(const std::optional<int64_t>& number) {
  return number ? std::optional(std::to_string(*number)) : std::nullopt;
}

}  // namespace

std::vector<IndexCopy> indexes_to_deliver(Connection& connection) {
  const Result rows = connection.exec(
      "SELECT copy, copy_name, name, engine, options, owner, generation, columns FROM anabranch.indexes_to_deliver()",
      Parameters());
  std::vector<IndexCopy> indexes;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    IndexCopy index;
    index.oid = static_cast<uint32_t>(rows.integer(row, 0));
    index.name = rows.text(row, 1);
    index.engine = rows.text(row, 3);
    index.definition.name = rows.text(row, 2);
    index.definition.options = nlohmann::json::parse(rows.text(row, 4));
    index.definition.owner = rows.text(row, 5);
    index.definition.generation = rows.integer(row, 6);
    for (const auto& column : nlohmann::json::parse(rows.text(row, 7)))
      index.definition.columns.push_back({column["name"], column["type"], column["is_array"]});
    for (std::size_t column = 0; column < rows.columns(); ++column)
      index.as_read += std::string(rows.text(row, column)) + '\n';
    indexes.push_back(std::move(index));
  }
  return indexes;
}

Turn::Turn(Connection& connection, uint32_t copy, int pending_max)
    : connection_(connection), copy_(copy), pending_max_(pending_max) {
  // By itself: a statement that waits would have its snapshot from before.
  while (!locked_)
    locked_ = connection_.exec("SELECT anabranch.take_turn($1::oid)", Parameters().integer(copy_)).boolean(0, 0);
  began_ = std::chrono::steady_clock::now();
  try {
    connection_.send("BEGIN ISOLATION LEVEL REPEATABLE READ", Parameters());
    connection_.send(
        "SELECT live, watched, lsn, as_of, timeline, token, number, upto, pending, generation, filled, swept_to, "
        "swept, "
        "delivered_lsn, version, identity, refused, frozen, seen FROM anabranch.delivery_state($1::oid, $2::int)",
        Parameters().integer(copy_).integer(pending_max));
    const std::vector<Result> results = connection_.collect();
    if (!results.back().null(0, 0)) state_ = read_state(results.back());
  } catch (...) {
    end();
    throw;
  }
}

Turn::~Turn() {
  end();
}

void Turn::end() noexcept {
  if (!locked_) return;
  locked_ = false;
  try {
    if (!connection_.usable()) return;  // and the lock has gone with the session
    if (connection_.in_transaction()) connection_.exec("ROLLBACK");
    connection_.exec("SELECT anabranch.end_turn($1::oid)", Parameters().integer(copy_));
  } catch (const std::exception& error) {
    log_debug("a turn at an index could not be given back", {{"error", error.what()}});
  }
}

std::chrono::milliseconds Turn::age() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began_);
}

Turn::Range Turn::pending_behind(int64_t number, int pending_max) {
  const Result row =
      connection_.exec("SELECT upto, pending FROM anabranch.pending_behind($1::oid, $2::bigint, $3::int)",
                       Parameters().integer(copy_).integer(number).integer(pending_max));
  return {row.integer(0, 0), row.integer(0, 1)};
}

DocumentBatch Turn::read(const char* statement, Parameters parameters) {
  return DocumentBatch(connection_.exec(statement, parameters));
}

DocumentBatch Turn::changed(int64_t behind, int64_t upto, Contents contents) {
  return read("SELECT * FROM anabranch.changed_documents($1::oid, $2::bigint, $3::bigint, $4::bigint, $5::boolean)",
              std::move(Parameters().integer(copy_).integer(behind).integer(upto).integer(bytes_max).boolean(
                  contents == Contents::read)));
}

DocumentBatch Turn::next(const std::optional<std::string>& behind, int rows_max) {
  return read("SELECT * FROM anabranch.next_documents($1::oid, $2::jsonb, $3::int, $4::bigint)",
              std::move(Parameters().integer(copy_).optional_text(behind).integer(rows_max).integer(bytes_max)));
}

DocumentBatch Turn::keyed(const std::string& keys, Contents contents) {
  return read("SELECT * FROM anabranch.keyed_documents($1::oid, $2::jsonb, $3::bigint, $4::boolean)",
              std::move(Parameters().integer(copy_).text(keys).integer(bytes_max).boolean(contents == Contents::read)));
}

DocumentBatch Turn::keyless(int rows_max) {
  return read("SELECT * FROM anabranch.keyless_documents($1::oid, $2::int, $3::bigint)",
              std::move(Parameters().integer(copy_).integer(rows_max).integer(bytes_max)));
}

void Turn::end_snapshot() {
  connection_.exec("COMMIT");
}

void Turn::record(uint64_t token, const Delivered& delivered) {
  // In a transaction of its own, where there is none any more: what comes after it here is not to be done before it is
  // committed.
  if (!connection_.in_transaction()) connection_.send("BEGIN", Parameters());
  const auto version = delivered.version ? std::optional(static_cast<int64_t>(*delivered.version)) : std::nullopt;
  connection_.send(
      "SELECT anabranch.record_delivery($1::oid, $2::bigint, $3, $4::bigint, $5::pg_lsn, $6::timestamptz, $7::bigint, "
      "$8, $9::bigint, $10::int, $11::jsonb, $12::bigint, $13::jsonb, $14::jsonb, $15::boolean)",
      Parameters()
          .integer(copy_)
          .integer(static_cast<int64_t>(token))
          .text(state_->seen)
          .optional_text(text_of(delivered.number))
          .optional_text(text_of(delivered.lsn))
          .optional_text(delivered.as_of)
          .optional_text(text_of(version))
          .optional_text(delivered.identity)
          .integer(delivered.documents)
          .optional_text(text_of(delivered.filled))
          .optional_text(delivered.swept_to)
          .optional_text(text_of(delivered.swept))
          .optional_text(delivered.parked.empty() ? std::nullopt
                                                  : std::optional(json_of(delivered.parked, state_->lsn)))
          .optional_text(delivered.taken.empty() ? std::nullopt : std::optional(json_list(delivered.taken)))
          .boolean(delivered.frozen));
  connection_.send("COMMIT", Parameters());
  connection_.send("SELECT anabranch.end_turn($1::oid)", Parameters().integer(copy_));
  connection_.collect();
  locked_ = false;
}

}  // namespace anabranch
