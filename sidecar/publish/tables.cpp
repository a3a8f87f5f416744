#include "sidecar/publish/tables.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sidecar/publish/numbering.hpp"
#include "sidecar/publish/publisher.hpp"

namespace anabranch {

std::vector<uint32_t> choose_key_columns(const Relation& relation, bool full_row) {
  std::vector<uint32_t> primary, identity, all;
  bool primary_in_old_rows = true;
  for (const Column& column : relation.columns) {
    all.push_back(column.number);
    if (column.in_identity) identity.push_back(column.number);
    if (column.in_primary_key) {
      primary.push_back(column.number);
      primary_in_old_rows &= column.in_identity;
    }
  }
  // Without an identity the server refuses updates and deletes of a published table: there are no old rows.
  if (!primary.empty() && (primary_in_old_rows || relation.replica_identity == ReplicaIdentity::nothing))
    return primary;
  if (relation.replica_identity != ReplicaIdentity::full && !identity.empty()) return identity;
  return full_row ? all : std::vector<uint32_t>();
}

PublishedTables::PublishedTables(const TopicNames& names, const PublisherSettings& settings, TopicAdmin& admin,
                                 TransactionProducer& producer, RowFormat& format, std::string system_identifier,
                                 const std::vector<TopicPosition>& recorded)
    : names_(names),
      settings_(settings),
      admin_(admin),
      producer_(producer),
      format_(format),
      system_identifier_(std::move(system_identifier)) {
  for (const TopicPosition& position : recorded) recorded_[position.topic] = position;
}

PublishedTable& PublishedTables::find(const Relation& relation, uint64_t piece) {
  if (last_relation_ == &relation && last_piece_ == piece) return *last_;
  if (last_ == nullptr || last_->relation.description != relation.description) {
    const auto known = tables_.find(stable_hash(relation.description));
    last_ = known != tables_.end() ? known->second.get() : &make(relation);
  }
  last_relation_ = &relation;
  last_piece_ = piece;
  return *last_;
}

PublishedTable& PublishedTables::make(const Relation& relation) {
  auto table = std::make_unique<PublishedTable>();
  table->relation = relation;
  table->fingerprint = stable_hash(relation.description);
  table->fingerprint_text = fingerprint_text(table->fingerprint);
  table->generation_text = std::to_string(relation.generation);
  table->key_columns = choose_key_columns(relation, settings_.keyless_full_row);
  // Rows of a stream are only ever inserted, and need not be told apart: without a key they stand in one partition, in
  // order. A key of all columns could be too large for a record, and anybody can send messages.
  const bool is_stream = relation.schema == stream_schema;
  if (is_stream) table->key_columns.clear();
  if (table->key_columns.empty() && !is_stream)
    throw PublishStopped(
        "keyless",
        fmt::format(
            "table {} has neither a primary key nor a replica identity that its records could be keyed by: set "
            "kafka.keyless_tables = \"full_row\" to key them by all columns, as they are in the log already; to "
            "have none of them from now on, drop the table from the publication, or give it a primary key",
            relation.qualified_name()));
  table->key_shape = stable_hash(fmt::format("{}|{}", relation.generation, fmt::join(table->key_columns, ","))) | 1;
  const std::string qualified = relation.qualified_name();
  const std::string name = topic_of_table(names_, settings_.table_topics, relation.schema, relation.name, qualified);
  if (names_.is_own(name))
    throw PublishStopped("refused",
                         fmt::format("the topic of table {} would be \"{}\", which is one of our own: choose "
                                     "another kafka.prefix",
                                     relation.qualified_name(), name));
  table->topic = &open(name, TopicKind::data, relation.qualified_name());
  number(*table->topic, relation);
  TableToFormat told{&table->relation, table->fingerprint, name, table->key_columns, {}};
  if (settings_.latest_tables.contains(relation.schema + "." + relation.name)) {
    if (is_stream)
      throw PublishStopped("refused", fmt::format("the rows of stream {} have no keys, and so no latest one of each: "
                                                  "take \"latest\" out of its settings",
                                                  relation.qualified_name()));
    told.latest_topic =
        latest_topic_of_table(names_, settings_.table_topics, relation.schema, relation.name, qualified);
    table->latest = &open(told.latest_topic, TopicKind::latest, "the latest rows of " + relation.qualified_name());
  }
  table->format = format_.open(told);
  return *(tables_[table->fingerprint] = std::move(table));
}

void PublishedTables::number(OpenTopic& topic, const Relation& relation) {
  const std::string difference = renumbered(relation, system_identifier_, topic.numbering);
  if (!difference.empty())
    throw PublishStopped(
        "renumbered",
        fmt::format(
            "table {} was made anew, and its columns are numbered otherwise than those in topic \"{}\": {}. "
            "Readers would take one for the other: let them read to the end, delete the topic, and run "
            "\"anabranch adopt\"; or, if they tell rows apart by the header \"relation\", run it without deleting",
            relation.qualified_name(), topic.name, difference));
  topic.numbering = numbering_of(relation, system_identifier_, topic.numbering);
  topic.recorded = false;
}

OpenTopic& PublishedTables::open(const std::string& name, TopicKind kind, const std::string& table) {
  if (const auto known = topics_.find(name); known != topics_.end()) {
    if (known->second->table != table)
      throw PublishStopped(
          "refused",
          fmt::format(
              "{} and {} would share the topic \"{}\": choose one for either of them: [kafka.table.'{}'] topic = "
              "\"NAME\"",
              known->second->table.empty() ? "logical messages" : known->second->table,
              table.empty() ? "logical messages" : table, name, table.empty() ? known->second->table : table));
    return *known->second;
  }
  auto topic = std::make_unique<OpenTopic>();
  topic->name = name;
  topic->table = table;
  topic->partitions = admin_.ensure(name, kind).partitions;
  topic->handle = producer_.open_topic(name);
  const auto recorded = recorded_.find(name);
  if (recorded != recorded_.end()) {
    topic->next_offsets = recorded->second.next_offsets;
    topic->numbering = recorded->second.numbering;
  } else if (!names_.is_own(name) && admin_.holds_others_records(name)) {
    throw PublishStopped(
        "topic_shared",
        fmt::format("topic \"{}\" was there before, and holds records that are not ours: choose another "
                    "kafka.prefix, or delete the topic if nobody needs it",
                    name));
  }
  topic->next_offsets.resize(static_cast<size_t>(topic->partitions), 0);
  topic->expected_offsets.resize(static_cast<size_t>(topic->partitions), -1);
  return *(topics_[name] = std::move(topic));
}

OpenTopic& PublishedTables::message_topic(const std::string& message_prefix) {
  return open(names_.message(message_prefix), TopicKind::single, "");
}

OpenTopic& PublishedTables::own_topic(const std::string& name, TopicKind kind) {
  return open(name, kind, "");
}

}  // namespace anabranch
