// What a table's .proto says is judged by protoc: every file must compile, whatever the names.
#include "decoder/table_proto.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "test/unit/log/stream_builder.hpp"

namespace anabranch {
namespace {

namespace pb = google::protobuf;

std::string write(const table_proto::Table& table) {
  std::string file;
  auto append = [&file](std::string_view piece) { file += piece; };
  table_proto::File<decltype(append)>(table, append).write_all();
  return file;
}

// Files as protoc reads them, in a directory that goes with the object.
class Compiled {
 public:
  explicit Compiled(const std::vector<std::string>& files) {
    std::string path = (std::filesystem::temp_directory_path() / "anabranch-proto-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary directory");
    std::string command = "cd " + path + " && protoc --descriptor_set_out=set";
    for (size_t i = 0; i < files.size(); ++i) {
      const auto name = "f" + std::to_string(i) + ".proto";
      std::ofstream(path + "/" + name) << files[i];
      command += " " + name;
    }
    const bool compiled = std::system((command + " 2>errors").c_str()) == 0;
    std::ifstream report(path + "/errors"), set(path + "/set");
    errors.assign(std::istreambuf_iterator<char>(report), {});
    pb::FileDescriptorSet description;
    if (compiled && description.ParseFromIstream(&set))
      for (const auto& file : description.file()) this->files.push_back(pool.BuildFile(file));
    std::filesystem::remove_all(path);
  }

  std::string errors;
  pb::DescriptorPool pool;
  std::vector<const pb::FileDescriptor*> files;  // empty when there were errors
};

class Reader {
 public:
  explicit Reader(const std::string& text) : compiled({text}), errors(compiled.errors) {
    if (!compiled.files.empty()) file = compiled.files.front();
  }

  // The row is the message after Change.
  const pb::Descriptor* row() const { return file->message_type(1); }

  std::unique_ptr<pb::Message> parse(const pb::Descriptor* type, const std::string& bytes) {
    std::unique_ptr<pb::Message> message(factory.GetPrototype(type)->New());
    EXPECT_TRUE(message->ParseFromString(bytes));
    return message;
  }

  Compiled compiled;
  std::string errors;
  const pb::FileDescriptor* file = nullptr;
  pb::DynamicMessageFactory factory;
};

table_proto::Column column(uint32_t number, std::string_view name, Encoding encoding = Encoding::text) {
  table_proto::Column column;
  column.number = number;
  column.name = name;
  column.type_schema = "pg_catalog";
  column.type_name = encoding == Encoding::integer ? "int4" : "text";
  column.encoding = encoding;
  return column;
}

table_proto::Table table(std::string_view name, const std::vector<table_proto::Column>& columns) {
  table_proto::Table table;
  table.schema = "public";
  table.name = name;
  table.columns = columns.data();
  table.column_count = columns.size();
  table.number_max = columns.empty() ? 0 : columns.back().number;
  return table;
}

TEST(TableProto, ReadsARowWithTypes) {
  const std::vector columns{column(1, "id", Encoding::integer), column(3, "name"), column(200, "o", Encoding::oid)};
  Reader reader(write(table("item", columns)));
  ASSERT_NE(reader.file, nullptr) << reader.errors;
  const std::string row = test::RowBuilder().integer(1, -5).text(3, "Käse").oid(200, 4294967295);
  EXPECT_EQ(reader.parse(reader.row(), row)->ShortDebugString(), "id: -5 name: \"K\\303\\244se\" o: 4294967295");
}

TEST(TableProto, TellsNullFromZeroAndEmpty) {
  const std::vector columns{column(1, "a", Encoding::integer), column(2, "b", Encoding::integer), column(3, "c"),
                            column(4, "d")};
  Reader reader(write(table("item", columns)));
  const auto row = reader.parse(reader.row(), test::RowBuilder().integer(1, 0).text(3, ""));
  EXPECT_EQ(row->ShortDebugString(), "a: 0 c: \"\"");
}

// An old reader has the .proto of before; numbers are what counts.
TEST(TableProto, OldReadersReadOnOverAddDropAndRename) {
  const std::vector before{column(1, "id", Encoding::integer), column(2, "name"), column(3, "note")};
  const std::vector after{column(1, "id", Encoding::integer), column(2, "title"), column(4, "more")};
  Reader old_reader(write(table("item", before))), new_reader(write(table("item", after)));
  const std::string new_row = test::RowBuilder().integer(1, 7).text(2, "x").text(4, "y");
  const auto seen = old_reader.parse(old_reader.row(), new_row);
  EXPECT_EQ(seen->ShortDebugString(), "id: 7 name: \"x\" 4: \"y\"");
  const std::string old_row = test::RowBuilder().integer(1, 7).text(2, "x").text(3, "gone");
  EXPECT_EQ(new_reader.parse(new_reader.row(), old_row)->ShortDebugString(), "id: 7 title: \"x\" 3: \"gone\"");
  EXPECT_TRUE(new_reader.row()->IsReservedNumber(3));
}

TEST(TableProto, NamesAGenerationInItsMessage) {
  const std::vector columns{column(1, "a", Encoding::integer)};
  auto retyped = table("order_lines", columns);
  EXPECT_EQ(Reader(write(retyped)).row()->name(), "OrderLines");
  retyped.generation = 12;
  EXPECT_EQ(Reader(write(retyped)).row()->full_name(),
            "anabranch.schema_public.table_order_lines.OrderLinesGeneration12");
}

TEST(TableProto, TakesNoNameTwice) {
  for (const std::string_view name : {"Change", "Key", "change", "key", "_", "_1", "class", "message", "Omitted"}) {
    std::vector columns{column(1, "Change", Encoding::integer), column(2, "a_b"), column(3, "aB"),
                        column(4, "column4")};
    columns[0].in_key = true;
    Reader reader(write(table(name, columns)));
    ASSERT_NE(reader.file, nullptr) << name << ": " << reader.errors;
    EXPECT_EQ(reader.row()->field(2)->name(), "column_3");
    EXPECT_EQ(reader.file->message_type_count(), 3);
    EXPECT_EQ(reader.file->message_type(2)->full_name(), reader.file->package() + ".Key");
  }
}

// Names of every kind of character, close to one another.
TEST(TableProto, AnyNamesMakeAFile) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::vector<std::string> parts{"a", "A",  "_",  "x5F", "_x", "1", "column", "\xc3\x9f", "\n",   "\"",
                                       ";", "//", "*/", " ",   "\\", "-", "a_b",    "optional", "\x01", "%"};
  std::vector<std::string> files;
  std::vector<std::vector<uint32_t>> numbers;
  for (int round = 0; round < 300; ++round) {
    std::deque<std::string> names;
    std::set<std::string> seen;
    std::vector<table_proto::Column> columns;
    const auto make_name = [&] {
      std::string name;
      for (auto length = random() % 4 + 1; length > 0; --length) name += parts[random() % parts.size()];
      return name;
    };
    uint32_t number = 0;
    for (auto count = random() % 30; count > 0; --count) {
      number += 1 + random() % 3;
      names.push_back(make_name());
      if (!seen.insert(names.back()).second) continue;
      columns.push_back(column(number, names.back(), static_cast<Encoding>(random() % 11)));
      columns.back().in_key = random() % 4 == 0;
      columns.back().type_modifier = static_cast<int32_t>(random() % 100) - 1;
    }
    // The files are compiled together: no two may have the same package.
    const std::string schema = std::to_string(round) + "." + make_name(), name = make_name();
    auto described = table(name, columns);
    described.schema = schema;
    described.generation = random() % 3;
    files.push_back(write(described));
    numbers.emplace_back();
    for (const auto& each : columns) numbers.back().push_back(each.number);
  }
  const Compiled compiled(files);
  ASSERT_EQ(compiled.files.size(), files.size()) << compiled.errors;
  for (size_t i = 0; i < files.size(); ++i) {
    const auto* row = compiled.files[i]->message_type(1);
    std::vector<uint32_t> found;
    for (int field = 0; field < row->field_count(); ++field)
      found.push_back(static_cast<uint32_t>(row->field(field)->number()));
    EXPECT_EQ(found, numbers[i]) << files[i];
  }
}

}  // namespace
}  // namespace anabranch
