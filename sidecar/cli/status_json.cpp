#include <nlohmann/json.hpp>

#include "sidecar/cli/status_screen.hpp"

namespace anabranch {
namespace {

using Json = nlohmann::ordered_json;

template <typename Value>
Json optional(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json optional(const std::optional<milliseconds>& value) {
  return value ? Json(value->count()) : Json(nullptr);
}
Json optional(const std::optional<Lsn>& value) {
  return value ? Json(value->to_string()) : Json(nullptr);
}
Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json source_json(const SourceStatus& source, const std::optional<Rates>& rates) {
  return {{"name", source.name},
          {"slot", source.slot},
          {"publication", source.publication},
          {"applied_lsn", source.applied.to_string()},
          {"confirmed_lsn", optional(source.confirmed)},
          {"lag_bytes", source.lag_bytes},
          {"lag_ms", optional(source.lag)},
          {"wal_status", text_or_null(source.wal_status)},
          {"kept_wal_bytes", source.kept_wal_bytes},
          {"wal_left_bytes", optional(source.wal_left_bytes)},
          {"slot_active", source.slot_active},
          {"sidecar_running", source.sidecar_running},
          {"sidecar_seen_ms_ago", optional(source.seen_age)},
          {"sidecar_running_ms", optional(source.running_for)},
          {"sidecar_host", text_or_null(source.sidecar_host)},
          {"sidecar_pid", source.sidecar_pid},
          {"sidecar_version", text_or_null(source.sidecar_version)},
          {"applied_rows", source.applied_rows},
          {"applied_transactions", source.applied_transactions},
          {"rows_per_second", rates ? Json(rates->rows) : Json(nullptr)},
          {"transactions_per_second", rates ? Json(rates->transactions) : Json(nullptr)}};
}

Json publisher_json(const PublisherStatus& publisher) {
  return {{"source", publisher.source},
          {"prefix", publisher.prefix},
          {"cluster_id", text_or_null(publisher.cluster_id)},
          {"state", publisher.state},
          {"reason", text_or_null(publisher.reason)},
          {"running", publisher.running},
          {"published_lsn", publisher.published.to_string()},
          {"lag_bytes", publisher.lag_bytes},
          {"records", publisher.records},
          {"transactions", publisher.transactions},
          {"dead_letters", publisher.dead_letters},
          {"seen_ms_ago", publisher.seen_age.count()},
          {"running_ms", publisher.running_for.count()},
          {"host", text_or_null(publisher.host)},
          {"pid", publisher.pid}};
}

Json copy_json(const CopyStatus& copy) {
  return {{"name", copy.name},
          {"owner", copy.owner},
          {"state", copy.state},
          {"severity", to_string(copy.severity)},
          {"pause_requested", copy.pause_requested},
          {"class", copy.copy_class},
          {"lsn", optional(copy.lsn)},
          {"lag_bytes", optional(copy.lag_bytes)},
          {"fill_rows", optional(copy.fill_rows)},
          {"fill_rows_total", optional(copy.fill_rows_total)},
          {"fill_rows_per_second", optional(copy.fill_rows_per_second)},
          {"fill_left_ms", optional(copy.fill_time_left)},
          {"sqlstate", text_or_null(copy.sqlstate)},
          {"reason", text_or_null(copy.reason)},
          {"failed_lsn", optional(copy.failed_lsn)},
          {"problem", text_or_null(copy.problem)}};
}

Json index_json(const IndexStatus& index) {
  return {{"name", index.name},
          {"engine", index.engine},
          {"state", index.state},
          {"severity", to_string(index.severity)},
          {"lsn", optional(index.lsn)},
          {"lag_bytes", optional(index.lag_bytes)},
          {"documents", index.documents},
          {"swept", index.swept},
          {"documents_estimated", index.documents_all},
          {"refused", index.refused},
          {"problem", text_or_null(index.problem)}};
}

}  // namespace

std::string status_json(const StatusFacts& facts, const std::optional<Rates>& rates,
                        const std::vector<Finding>& findings) {
  Json json = {{"severity", to_string(worst(findings))},
               {"exit_code", static_cast<int>(worst(findings))},
               {"version", ANABRANCH_VERSION},
               {"extension_version", text_or_null(facts.extension_version)},
               {"server", facts.server},
               {"database", facts.database},
               {"time", facts.time},
               {"standby", facts.in_recovery},
               {"source", facts.source ? source_json(*facts.source, rates) : Json(nullptr)},
               {"publishers", Json::array()},
               {"copies", Json::array()},
               {"indexes", Json::array()},
               {"fill_slots", Json::array()},
               {"prepared_transactions", Json::array()},
               {"snapshot_holder", nullptr},
               {"findings", Json::array()}};
  for (const auto& publisher : facts.publishers) json["publishers"].push_back(publisher_json(publisher));
  for (const auto& copy : facts.copies) json["copies"].push_back(copy_json(copy));
  for (const auto& index : facts.indexes) json["indexes"].push_back(index_json(index));
  for (const auto& slot : facts.fill_slots)
    json["fill_slots"].push_back({{"name", slot.name},
                                  {"kept_wal_bytes", slot.kept_wal_bytes},
                                  {"active", slot.active},
                                  {"wanted", slot.wanted}});
  for (const auto& prepared : facts.prepared)
    json["prepared_transactions"].push_back(
        {{"gid", prepared.gid}, {"owner", prepared.owner}, {"age_ms", prepared.age.count()}});
  if (facts.holder)
    json["snapshot_holder"] = {{"who", facts.holder->who},
                               {"age_ms", facts.holder->age.count()},
                               {"query", text_or_null(facts.holder->query)},
                               {"remedy", facts.holder->remedy}};
  for (const auto& finding : findings)
    json["findings"].push_back({{"severity", to_string(finding.severity)},
                                {"subject", finding.subject},
                                {"text", finding.text},
                                {"remedy", text_or_null(finding.remedy)}});
  // Names may hold bytes that are no UTF-8 (a database in SQL_ASCII): those are replaced, not refused.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace anabranch
