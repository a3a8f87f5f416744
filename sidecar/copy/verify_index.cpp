#include "sidecar/copy/verify_index.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sidecar/home.hpp"

namespace anabranch {
namespace {

// With U+FFFD for NUL, which no text of PostgreSQL has.
std::string without_nul(std::string text) {
  for (std::size_t nul = 0; (nul = text.find('\0', nul)) != std::string::npos;) text.replace(nul, 1, "\xEF\xBF\xBD");
  return text;
}

// Documents as texts: what of them jsonb can hold, only the server knows.
std::string differences_json(const std::vector<IndexDifference>& differences) {
  auto list = nlohmann::json::array();
  for (const IndexDifference& difference : differences) {
    nlohmann::json item = {
        {"key", without_nul(difference.key)}, {"class", difference.kind}, {"repaired", difference.repaired}};
    if (!difference.expected.empty()) item["expected"] = without_nul(difference.expected);
    if (!difference.actual.empty()) item["actual"] = without_nul(difference.actual);
    list.push_back(std::move(item));
  }
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

IndexComparison compare_index_of(const VerifyContext& context, Connection& connection, const VerificationRun& run,
                                 const std::function<void(const std::string& waiting)>& note, int64_t differences_max) {
  using Kind = IndexError::Kind;
  const Result asked = connection.exec("SELECT key, repaired_before FROM anabranch.begin_index_comparison($1::bigint)",
                                       Parameters().integer(run.run));
  if (asked.rows() == 0 && run.mode != "index") return {};
  const std::vector<IndexCopy> indexes = indexes_to_deliver(connection);
  const auto copy =
      std::find_if(indexes.begin(), indexes.end(), [&](const IndexCopy& index) { return index.oid == run.copy; });
  if (copy == indexes.end()) throw IndexError(Kind::refused, "the index was dropped", "nothing is left to verify");
  const auto section = context.settings.indexes.find(copy->engine);
  if (section == context.settings.indexes.end())
    throw IndexError(Kind::refused,
                     fmt::format("the settings file of the sidecar has no section [index.{}]", copy->engine),
                     "write it, and start the sidecar anew");

  ComparisonOptions options;
  for (std::size_t row = 0; row < asked.rows(); ++row)
    if (!asked.null(row, 0)) options.keys.emplace_back(asked.text(row, 0));
  options.repairs = run.repairs;
  if (asked.rows() > 0) options.repaired_before = asked.integer(0, 1);
  options.duty = run.duty;
  options.differences_max = differences_max;
  options.note = note;
  options.record = [&](const IndexComparison& result, const std::vector<IndexDifference>& differences) {
    connection.exec(
        "SELECT anabranch.record_index_comparison($1::bigint, $2::pg_lsn, $3::bigint, $4::bigint, $5::bigint, "
        "$6::jsonb)",
        Parameters()
            .integer(run.run)
            .lsn(result.lsn)
            .integer(result.compared)
            .integer(result.differing)
            .integer(result.repaired)
            .text(differences_json(differences)));
  };
  ConnectOptions connect = home_options(context.settings);
  connect.application_name = "anabranch verifier";
  // A turn may have to be waited for longer than a lock is.
  connect.settings = {{"work_mem", apply_work_mem}, {"client_connection_check_interval", "500"}};
  connect.stop = &context.stop;
  Connection turns(connect);
  return compare_index(turns, section->second, *copy, context.token.token, context.stop, options);
}

}  // namespace anabranch
