// What a record costs in each format of Kafka's topics: keys and values of updates of an eight-column row of about 200
// bytes, old row included. Prints nanoseconds of CPU time, the least of five rounds, and bytes a record. Built and run
// by bench/formats.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "decoder/wire.hpp"
#include "sidecar/publish/format_avro.hpp"
#include "sidecar/publish/format_debezium_json.hpp"
#include "sidecar/publish/format_protobuf_registered.hpp"

namespace anabranch {
namespace {

constexpr int records = 200'000;
constexpr int rounds = 5;

class OneSchema : public SchemaRegistry {
 public:
  int32_t register_schema(const std::string&, SchemaKind, const std::string&) override { return 1; }
};

Relation make_table() {
  Relation relation;
  relation.schema = "public";
  relation.name = "benchmark_records";
  const auto add = [&](const char* name, const char* type, Encoding encoding) {
    Column column;
    column.number = static_cast<uint32_t>(relation.columns.size() + 1);
    column.name = name;
    column.type_schema = "pg_catalog";
    column.type_name = type;
    column.encoding = encoding;
    relation.columns.push_back(std::move(column));
  };
  add("id", "int8", Encoding::integer);
  add("user_id", "int4", Encoding::integer);
  add("amount", "numeric", Encoding::text);
  add("active", "bool", Encoding::boolean);
  add("score", "float8", Encoding::float8);
  add("created_at", "timestamptz", Encoding::timestamp);
  add("tags", "_text", Encoding::text);
  add("payload", "text", Encoding::text);
  relation.columns[0].in_primary_key = true;
  return relation;
}

std::string make_row(int64_t id) {
  std::string row(512, '\0');
  wire::Writer writer(row.data());
  const std::string amount = fmt::format("{}.{:02}", id % 10'000, id % 100);
  const std::string payload(120, static_cast<char>('a' + id % 26));
  writer.signed_field(1, id);
  writer.signed_field(2, id % 1'000);
  writer.bytes_field(3, amount.data(), amount.size());
  writer.varint_field(4, 1);
  writer.fixed64_field(5, std::bit_cast<uint64_t>(static_cast<double>(id) / 3));
  writer.signed_field(6, 848'556'450'185'973 + id);
  writer.bytes_field(7, "{red,\"light green\",blue}", 24);
  writer.bytes_field(8, payload.data(), payload.size());
  row.resize(static_cast<size_t>(writer.at() - row.data()));
  return row;
}

double cpu_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void measure(const char* name, RowFormat& format, const Relation& relation, const std::vector<std::string>& rows) {
  const TableToFormat table{.relation = &relation, .fingerprint = 1, .topic = "shop.public.t", .key_columns = {1}};
  auto writer = format.open(table);
  PublishedUnit unit;
  unit.xid = 4711;
  unit.commit_time = 848'556'450'185'973;
  unit.end_lsn = Lsn(26'394'280);
  double best = 1e18;
  size_t bytes = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string out;
    bytes = 0;
    const auto began = cpu_nanoseconds();
    for (int i = 0; i < records; ++i) {
      PublishedChange change;
      change.operation = RowOperation::update;
      change.number = static_cast<uint64_t>(i) + 1;
      change.before_kind = BeforeKind::full;
      change.before = rows[static_cast<size_t>(i) % rows.size()];
      change.after = rows[static_cast<size_t>(i + 1) % rows.size()];
      out.clear();
      writer->key(change.after, out);
      writer->value(unit, change, out);
      bytes += out.size();
    }
    best = std::min(best, (cpu_nanoseconds() - began) / records);
  }
  fmt::print("{:<24}{:>8.0f} ns{:>8} bytes a record\n", name, best, bytes / records);
}

void run() {
  const auto relation = make_table();
  std::vector<std::string> rows;
  for (int64_t id = 0; id < 1'000; ++id) rows.push_back(make_row(id * 7'919));
  const auto registry = std::make_shared<OneSchema>();
  measure("protobuf", *make_protobuf_format(), relation, rows);
  measure("protobuf, registry", *make_registered_protobuf_format(make_protobuf_format(), registry), relation, rows);
  measure("avro", *make_avro_format({"shop", "shop"}, registry), relation, rows);
  measure("debezium-json", *make_debezium_json_format({"shop", "shop", TimeMode::iso}), relation, rows);
  measure("debezium-json, adaptive", *make_debezium_json_format({"shop", "shop", TimeMode::adaptive}), relation, rows);
}

}  // namespace
}  // namespace anabranch

int main() {
  anabranch::run();
}
