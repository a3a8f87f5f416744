// The section [kafka] of the settings file.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "sidecar/kafka/properties.hpp"
#include "sidecar/publish/content.hpp"
#include "sidecar/publish/topics.hpp"

namespace anabranch {

struct KafkaSettings {
  KafkaProperties properties;  // [kafka.properties], and bootstrap.servers from `brokers`
  std::string prefix;          // empty: default_topic_prefix(database)
  TopicSettings topics;
  std::string format = "protobuf";
  std::string schema_registry;  // URL; empty: none
  // What it is asked with. Files hold the value and no more; empty: none.
  std::string schema_registry_user, schema_registry_password_file, schema_registry_token_file;
  std::string schema_registry_ca_file, schema_registry_certificate_file, schema_registry_key_file;
  bool times_adaptive = false;                    // debezium-json: as Debezium's default
  std::set<std::string> latest_tables;            // schema.name of those with a topic of the latest row of each key
  ChosenTopics table_topics;                      // [kafka.table."schema.table"] topic
  ContentMode content = ContentMode::never;       // snapshot
  std::map<std::string, ContentMode> content_of;  // by schema.name, where it is another
  bool keyless_full_row = false;
  bool oversize_fragment = false;
  std::vector<std::string> messages;  // prefixes of logical messages to be published
  std::string instance;

  bool operator==(const KafkaSettings&) const = default;
};

}  // namespace anabranch
