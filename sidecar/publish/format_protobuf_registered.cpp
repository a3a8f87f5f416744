#include "sidecar/publish/format_protobuf_registered.hpp"

#include <utility>

#include "sidecar/publish/relation_proto.hpp"
#include "sidecar/topic/schema_frame.hpp"

namespace anabranch {
namespace {

class RegisteredRelation final : public RelationFormat {
 public:
  RegisteredRelation(std::unique_ptr<RelationFormat> protobuf, SchemaRegistry& registry, const TableToFormat& table)
      : protobuf_(std::move(protobuf)) {
    append_schema_frame(value_frame_,
                        registry.register_schema(table.topic + "-value", SchemaKind::protobuf,
                                                 relation_proto(*table.relation, table.key_columns)),
                        change_message);
    if (!table.key_columns.empty())
      append_schema_frame(key_frame_,
                          registry.register_schema(table.topic + "-key", SchemaKind::protobuf,
                                                   relation_key_proto(*table.relation, table.key_columns)),
                          0);
    if (table.latest_topic.empty()) return;
    append_schema_frame(latest_frame_,
                        registry.register_schema(table.latest_topic + "-value", SchemaKind::protobuf,
                                                 relation_proto(*table.relation, table.key_columns)),
                        row_message);
    registry.register_schema(table.latest_topic + "-key", SchemaKind::protobuf,
                             relation_key_proto(*table.relation, table.key_columns));
  }

  void key(std::string_view row, std::string& out) override {
    out += key_frame_;
    protobuf_->key(row, out);
  }

  void value(const PublishedUnit& unit, const PublishedChange& change, std::string& out) override {
    out += value_frame_;
    protobuf_->value(unit, change, out);
  }

  bool latest(const PublishedChange& change, std::string& out) override {
    const auto start = out.size();
    out += latest_frame_;
    if (protobuf_->latest(change, out)) return true;
    out.resize(start);
    return false;
  }

 private:
  std::unique_ptr<RelationFormat> protobuf_;
  std::string key_frame_, value_frame_, latest_frame_;
};

class RegisteredProtobuf final : public RowFormat {
 public:
  RegisteredProtobuf(std::unique_ptr<RowFormat> protobuf, std::shared_ptr<SchemaRegistry> registry)
      : protobuf_(std::move(protobuf)), registry_(std::move(registry)) {}

  std::string_view name() const override { return protobuf_->name(); }

  std::unique_ptr<RelationFormat> open(const TableToFormat& table) override {
    return std::make_unique<RegisteredRelation>(protobuf_->open(table), *registry_, table);
  }

 private:
  std::unique_ptr<RowFormat> protobuf_;
  std::shared_ptr<SchemaRegistry> registry_;
};

}  // namespace

std::unique_ptr<RowFormat> make_registered_protobuf_format(std::unique_ptr<RowFormat> protobuf,
                                                           std::shared_ptr<SchemaRegistry> registry) {
  return std::make_unique<RegisteredProtobuf>(std::move(protobuf), std::move(registry));
}

}  // namespace anabranch
