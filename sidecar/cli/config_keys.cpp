#include "sidecar/cli/config_keys.hpp"

#include "sidecar/cli/config_index.hpp"
#include "sidecar/cli/config_values.hpp"
#include "sidecar/cli/names.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fmt/format.h>
#include <numeric>
#include <vector>

namespace anabranch {
namespace {

struct Key {
  std::string_view section;
  std::string_view name;
  void (*read)(Settings& settings, const toml::node& value) = nullptr;
  // Of a plain text, instead: where it goes, and what it may look like.
  const char* parameter = nullptr;  // libpq's
  std::string KafkaSettings::*text = nullptr;
  std::string_view example = {};
};

constexpr Key home_text(std::string_view name, const char* parameter, std::string_view example) {
  return {home_section, name, nullptr, parameter, nullptr, example};
}
constexpr Key kafka_text(std::string_view name, std::string KafkaSettings::*text, std::string_view example) {
  return {kafka_section, name, nullptr, nullptr, text, example};
}

// Every key there is, in the order of docs/configuration.md.
constexpr std::array keys{
    Key{"", "log",
        [](Settings& settings, const toml::node& value) {
          settings.log_is_kafka = choice_of<bool>(value, {{"slot", false}, {"kafka", true}});
        }},
    Key{"", "batch_interval_max",
        [](Settings& settings, const toml::node& value) {
          settings.batch_interval_max = amount_of(value, parse_duration, "1 ms", "60 s");
        }},
    Key{"", "fill_workers_max",
        [](Settings& settings, const toml::node& value) {
          settings.fill_workers_max = static_cast<int>(number_of(value, 1, 16));
        }},
    home_text("host", "host", "/var/run/postgresql"),
    Key{home_section, "port",
        [](Settings& settings, const toml::node& value) {
          settings.home["port"] = std::to_string(number_of(value, 1, 65535));
        }},
    home_text("user", "user", "anabranch"),
    home_text("database", "dbname", "shop"),
    home_text("password", "password", "..."),
    home_text("passfile", "passfile", "/etc/anabranch/pgpass"),
    Key{home_section, "sslmode",
        [](Settings& settings, const toml::node& value) {
          settings.home["sslmode"] = choice_of<std::string>(value, {{"verify-full", "verify-full"},
                                                                    {"verify-ca", "verify-ca"},
                                                                    {"require", "require"},
                                                                    {"prefer", "prefer"},
                                                                    {"allow", "allow"},
                                                                    {"disable", "disable"}});
        }},
    home_text("sslrootcert", "sslrootcert", "/etc/anabranch/root.crt"),
    home_text("sslcert", "sslcert", "/etc/anabranch/client.crt"),
    home_text("sslkey", "sslkey", "/etc/anabranch/client.key"),
    Key{home_section, "connect_timeout",
        [](Settings& settings, const toml::node& value) {
          const auto timeout = amount_of(value, parse_duration, "2 s", "10 min");
          // libpq counts whole seconds.
          settings.home["connect_timeout"] = std::to_string(std::chrono::ceil<std::chrono::seconds>(timeout).count());
        }},
    Key{home_section, "slot",
        [](Settings& settings, const toml::node& value) {
          settings.slot = text_of(value, "anabranch_shop");
          if (!is_slot_name(settings.slot))
            throw Refusal{fmt::format("is \"{}\", which cannot name a slot", printable(settings.slot)),
                          fmt::format("use at most {} of the characters a-z, 0-9 and _, and no end like _fill_1",
                                      slot_name_bytes_max)};
        }},
    Key{home_section, "publication",
        [](Settings& settings, const toml::node& value) {
          settings.publication = text_of(value, "anabranch");
          if (settings.publication.size() > 63)
            throw Refusal{"is longer than the 63 bytes a name may have", "shorten it"};
        }},
    Key{home_section, "wal_keep_limit",
        [](Settings& settings, const toml::node& value) {
          settings.wal_keep_limit_bytes = amount_of(value, parse_bytes, "64 MB", "1024 TB");
        }},
    Key{"verify", "snapshot_max",
        [](Settings& settings, const toml::node& value) {
          settings.verify_snapshot_max = amount_of(value, parse_duration, "100 ms", "1 h");
        }},
    Key{"verify", "pause_when",
        [](Settings& settings, const toml::node& value) {
          settings.verify_pause_when =
              text_of(value, "SELECT count(*) > 20 FROM pg_stat_activity WHERE state = 'active'");
        }},
    Key{kafka_section, "brokers",
        [](Settings& settings, const toml::node& value) {
          settings.kafka.properties["bootstrap.servers"] = text_of(value, "kafka1:9092,kafka2:9092");
        }},
    Key{kafka_section, "prefix",
        [](Settings& settings, const toml::node& value) {
          settings.kafka.prefix = text_of(value, "shop");
          try {
            TopicNames names(settings.kafka.prefix);
          } catch (const std::invalid_argument& error) {
            throw Refusal{fmt::format("is \"{}\"", printable(settings.kafka.prefix)), error.what()};
          }
        }},
    Key{kafka_section, "partitions",
        [](Settings& settings, const toml::node& value) {
          settings.kafka.topics.partitions = static_cast<int>(number_of(value, 1, 10'000));
        }},
    Key{kafka_section, "replication_factor",
        [](Settings& settings, const toml::node& value) {
          settings.kafka.topics.replication_factor = static_cast<int>(number_of(value, 1, 100));
        }},
    Key{kafka_section, "retention",
        [](Settings& settings, const toml::node& value) {
          settings.kafka.topics.retention = amount_of(value, parse_duration, "1 min", "36500 d");
        }},
    Key{kafka_section, "create_topics",
        [](Settings& settings, const toml::node& value) { settings.kafka.topics.create = truth_of(value); }},
    Key{kafka_section, "format",
        [](Settings& settings, const toml::node& value) {
          settings.kafka.format = choice_of<std::string>(
              value, {{"protobuf", "protobuf"}, {"avro", "avro"}, {"debezium-json", "debezium-json"}});
        }},
    kafka_text("schema_registry", &KafkaSettings::schema_registry, "http://registry:8081"),
    kafka_text("schema_registry_user", &KafkaSettings::schema_registry_user, "anabranch"),
    kafka_text("schema_registry_password_file", &KafkaSettings::schema_registry_password_file,
               "/etc/anabranch/registry-password"),
    kafka_text("schema_registry_token_file", &KafkaSettings::schema_registry_token_file,
               "/etc/anabranch/registry-token"),
    kafka_text("schema_registry_ca_file", &KafkaSettings::schema_registry_ca_file, "/etc/anabranch/registry-ca.crt"),
    kafka_text("schema_registry_certificate_file", &KafkaSettings::schema_registry_certificate_file,
               "/etc/anabranch/registry.crt"),
    kafka_text("schema_registry_key_file", &KafkaSettings::schema_registry_key_file, "/etc/anabranch/registry.key"),
    Key{kafka_section, "times",
        [](Settings& settings, const toml::node& value) {
          settings.kafka.times_adaptive = choice_of<bool>(value, {{"iso", false}, {"adaptive", true}});
        }},
    Key{kafka_section, "keyless_tables",
        [](Settings& settings, const toml::node& value) {
          settings.kafka.keyless_full_row = choice_of<bool>(value, {{"refuse", false}, {"full_row", true}});
        }},
    Key{kafka_section, "oversize",
        [](Settings& settings, const toml::node& value) {
          settings.kafka.oversize_fragment = choice_of<bool>(value, {{"park", false}, {"fragment", true}});
        }},
    Key{kafka_section, "snapshot",
        [](Settings& settings, const toml::node& value) { settings.kafka.content = content_mode_of(value); }},
    Key{kafka_section, "messages",
        [](Settings& settings, const toml::node& value) { settings.kafka.messages = texts_of(value, "outbox"); }},
    Key{kafka_section, "instance",
        [](Settings& settings, const toml::node& value) {
          settings.kafka.instance = text_of(value, "blue");
          if (settings.kafka.instance.size() > 63) throw Refusal{"is longer than 63 bytes", "shorten it"};
        }},
    Key{"logging", "format",
        [](Settings& settings, const toml::node& value) {
          settings.log_format = choice_of<LogFormat>(value, {{"text", LogFormat::text}, {"json", LogFormat::json}});
        }},
    Key{"logging", "level",
        [](Settings& settings, const toml::node& value) {
          settings.log_level = choice_of<LogLevel>(value, {{"debug", LogLevel::debug},
                                                           {"info", LogLevel::info},
                                                           {"warning", LogLevel::warning},
                                                           {"error", LogLevel::error}});
        }},
};

// How many letters must change to make one word the other.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string key_advice(std::string_view section, std::string_view name) {
  constexpr size_t letters_max = 3;
  std::string_view nearest, nearest_section;
  size_t nearest_distance = letters_max;
  std::string known;
  const auto consider = [&](std::string_view its_section, std::string_view key) {
    const bool here = its_section == section;
    if (here) known += fmt::format("{}{}", known.empty() ? "" : ", ", key);
    // Names of many letters would make the distance slow, and are like none of ours.
    const size_t away = name.size() > 64 ? letters_max : distance(name, key) + (here ? 0 : 1);
    if (away < nearest_distance) {
      nearest = key;
      nearest_section = its_section;
      nearest_distance = away;
    }
  };
  for (const auto& key : keys) consider(key.section, key.name);
  for (const auto key : index_key_names()) consider(index_section, key);
  if (!nearest.empty() && nearest_section == section) return fmt::format("did you mean {}?", nearest);
  if (!nearest.empty())
    return fmt::format(
        "did you mean {} in {}?", nearest,
        nearest_section.empty() ? "the part before the first [section]" : fmt::format("[{}]", nearest_section));
  return fmt::format("keys here are {}", known);
}

bool read_key(std::string_view section, std::string_view name, const toml::node& value, Settings& settings) {
  const auto* key = std::find_if(keys.begin(), keys.end(),
                                 [&](const Key& one) { return one.section == section && one.name == name; });
  if (key == keys.end()) return false;
  if (key->read != nullptr) {
    key->read(settings, value);
  } else {
    const std::string text = text_of(value, key->example);
    (key->text != nullptr ? settings.kafka.*key->text : settings.home[key->parameter]) = text;
  }
  return true;
}

ContentMode content_mode_of(const toml::node& value) {
  return choice_of<ContentMode>(
      value,
      {{"never", ContentMode::never}, {"initial", ContentMode::initial}, {"when_needed", ContentMode::when_needed}});
}

}  // namespace anabranch
