#include "sidecar/cli/config.hpp"

#include "sidecar/cli/config_file.hpp"
#include "sidecar/cli/config_index.hpp"
#include "sidecar/cli/config_keys.hpp"
#include "sidecar/cli/config_values.hpp"
#include "sidecar/cli/names.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <toml++/toml.h>

namespace anabranch {
namespace {

class Reader {
 public:
  Settings settings;
  std::vector<Mistake> mistakes;
  std::optional<Mistake> password;  // in the file, and where
  std::optional<Mistake> secret;    // the same of Kafka's
  size_t log_line = 0, log_column = 0;

  // What no key alone shows.
  void judge_whole() {
    if (settings.log_is_kafka && !settings.kafka.properties.contains("bootstrap.servers"))
      mistakes.push_back({log_line, log_column, "kafka.brokers", "is missing",
                          "log = \"kafka\" needs it: brokers = \"HOST:PORT,...\""});
  }

  void read_root(const toml::table& root) {
    for (const auto& [name, value] : root) {
      if (name == "source")
        read_sources(name, value);
      else if (name == "logging" || name == "verify")
        read_section(name, value, name.str());
      else if (name == "kafka")
        read_kafka(name, value);
      else if (name == "index")
        settings.indexes = read_indexes(name, value, mistakes);
      else if (value.is_table() || value.is_array_of_tables())
        add(name, name.str(), "is no section",
            "sections are [source.home], [verify], [kafka], [kafka.properties], [index.NAME] and [logging]");
      else
        read_key("", name, value);
    }
  }

 private:
  void add(const toml::key& key, std::string_view path, std::string problem, std::string remedy) {
    const auto& at = key.source().begin;
    mistakes.push_back({at.line, at.column, printable(path), std::move(problem), std::move(remedy)});
  }

  void read_sources(const toml::key& key, const toml::node& value) {
    const auto* sources = value.as_table();
    if (sources == nullptr) {
      add(key, "source", fmt::format("is {}, not a section", type_name(value)), "write [source.home]");
      return;
    }
    for (const auto& [name, source] : *sources) {
      if (name == "home")
        read_section(name, source, home_section);
      else
        add(name, fmt::format("source.{}", name.str()), "is a source this version does not know",
            "the home database is the only source: write [source.home]");
    }
  }

  void read_kafka(const toml::key& key, const toml::node& value) {
    const auto* section = value.as_table();
    if (section == nullptr) {
      add(key, kafka_section, fmt::format("is {}, not a section", type_name(value)), "write [kafka]");
      return;
    }
    for (const auto& [name, node] : *section) {
      if (name == "properties")
        read_properties(name, node);
      else if (name == "table")
        read_tables(name, node);
      else
        read_key(kafka_section, name, node);
    }
  }

  // [kafka.table."schema.table"]
  void read_tables(const toml::key& key, const toml::node& value) {
    constexpr std::string_view section = "kafka.table";
    constexpr std::string_view remedy = "write [kafka.table.\"public.orders\"], and below it: latest = true";
    const auto* tables = value.as_table();
    if (tables == nullptr)
      return add(key, section, fmt::format("is {}, not a section", type_name(value)), std::string(remedy));
    for (const auto& [name, node] : *tables) {
      const auto path = fmt::format("{}.\"{}\"", section, name.str());
      const auto* table = node.as_table();
      if (table == nullptr || name.str().find('.') == std::string_view::npos) {
        add(name, path, "is no section of a table", std::string(remedy));
        continue;
      }
      for (const auto& [option, setting] : *table) {
        try {
          read_table(std::string(name.str()), option.str(), setting);
        } catch (Refusal& refusal) {
          add(option, fmt::format("{}.{}", path, option.str()), std::move(refusal.problem), std::move(refusal.remedy));
        }
      }
    }
  }

  void read_table(const std::string& table, std::string_view option, const toml::node& value) {
    if (option == "snapshot") {
      settings.kafka.content_of[table] = content_mode_of(value);
    } else if (option == "latest") {
      if (truth_of(value)) settings.kafka.latest_tables.insert(table);
    } else if (option == "topic") {
      constexpr size_t bytes_max = 140;  // with the prefix, and ".latest", short enough for Kafka
      const std::string topic = text_of(value, "orders");
      if (topic.size() > bytes_max || topic_part(topic) != topic)
        throw Refusal{fmt::format("is \"{}\", which no topic's name can hold", printable(topic)),
                      "write what is to follow the prefix, of a-z A-Z 0-9 . _ - and at most 140 of them"};
      settings.kafka.table_topics[table] = topic;
    } else {
      throw Refusal{"is no setting of a table",
                    "write latest = true or false, topic = \"NAME\" or snapshot = \"initial\""};
    }
  }

  // Names and values are librdkafka's, and judged by it. TOML would make tables of names with dots: they are put
  // together again, so that both "linger.ms" = 5 and linger.ms = 5 are understood.
  void read_properties(const toml::key& key, const toml::node& value, const std::string& path = "") {
    const auto* section = value.as_table();
    if (section == nullptr) {
      add(key, properties_section, fmt::format("is {}, not a section", type_name(value)), "write [kafka.properties]");
      return;
    }
    for (const auto& [name, node] : *section) {
      const std::string property = path.empty() ? std::string(name.str()) : fmt::format("{}.{}", path, name.str());
      if (node.is_table()) {
        read_properties(name, node, property);
        continue;
      }
      std::string text;
      if (const auto* number = node.as_integer())
        text = std::to_string(number->get());
      else if (const auto* truth = node.as_boolean())
        text = truth->get() ? "true" : "false";
      else if (const auto* string = node.as_string())
        text = string->get();
      else {
        add(name, fmt::format("{}.{}", properties_section, property), fmt::format("is {}", type_name(node)),
            "write a string, a number, true or false");
        continue;
      }
      if (property == "bootstrap.servers" || property == "metadata.broker.list") {
        add(name, fmt::format("{}.{}", properties_section, property), "is set elsewhere", "write brokers in [kafka]");
        continue;
      }
      if (is_secret_property(property) && !secret)
        secret = Mistake{name.source().begin.line, name.source().begin.column,
                         fmt::format("{}.{}", properties_section, property), "", ""};
      settings.kafka.properties[property] = text;
    }
  }

  void read_section(const toml::key& key, const toml::node& value, std::string_view section) {
    const auto* table = value.as_table();
    if (table == nullptr) {
      add(key, section, fmt::format("is {}, not a section", type_name(value)), fmt::format("write [{}]", section));
      return;
    }
    for (const auto& [name, node] : *table) read_key(section, name, node);
  }

  void read_key(std::string_view section, const toml::key& name, const toml::node& value) {
    const auto path = section.empty() ? std::string(name.str()) : fmt::format("{}.{}", section, name.str());
    const auto& at = value.source().begin;
    try {
      if (!anabranch::read_key(section, name.str(), value, settings))
        return add(name, path, "is no key", key_advice(section, name.str()));
    } catch (Refusal& refusal) {
      mistakes.push_back({at.line, at.column, path, std::move(refusal.problem), std::move(refusal.remedy)});
    }
    if (path == "log") {
      log_line = at.line;
      log_column = at.column;
    }
    if (name == "password") password = Mistake{at.line, at.column, path, "", ""};
  }
};

// The key that a line of the file begins with, for mistakes that the parser finds before keys have a meaning.
std::string key_on_line(std::string_view text, size_t line) {
  for (; line > 1; --line) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  const auto equals = text.find('=');
  if (equals == std::string_view::npos) return {};
  text = text.substr(0, equals);
  const auto begin = text.find_first_not_of(" \t");
  const auto end = text.find_last_not_of(" \t\r");
  return begin == std::string_view::npos ? std::string() : printable(text.substr(begin, end - begin + 1));
}

Reader read_text(std::string_view text, const std::string& path) {
  Reader reader;
  try {
    reader.read_root(toml::parse(text));
    reader.judge_whole();
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    const auto problem = error.description();
    const bool twice = problem.find("redefine") != std::string_view::npos;
    throw ConfigError(
        path, {{at.line, at.column, key_on_line(text, at.line),
                twice ? "is written twice" : fmt::format("is not TOML: {}", printable(problem)),
                twice ? "keep one of the two lines" : "write KEY = \"text\" or KEY = number, under its [section]"}});
  }
  return reader;
}

// In the order of the file; the parser's tables are in the order of names.
void refuse_mistakes(Reader& reader, const std::string& path) {
  if (reader.mistakes.empty()) return;
  std::stable_sort(reader.mistakes.begin(), reader.mistakes.end(), [](const auto& a, const auto& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  throw ConfigError(path, reader.mistakes);
}

std::string message(const std::string& path, const std::vector<Mistake>& mistakes) {
  std::string text;
  for (const auto& mistake : mistakes) {
    if (!text.empty()) text += '\n';
    text += printable(path);
    if (mistake.line != 0) text += fmt::format(":{}:{}", mistake.line, mistake.column);
    text += ": ";
    if (!mistake.key.empty()) text += mistake.key + ": ";
    text += fmt::format("{}; {}", mistake.problem, mistake.remedy);
  }
  return text;
}

}  // namespace

ConfigError::ConfigError(const std::string& path, std::vector<Mistake> mistakes)
    : std::runtime_error(message(path, mistakes)), mistakes_(std::move(mistakes)) {}

Settings parse_config(std::string_view text, const std::string& path) {
  auto reader = read_text(text, path);
  refuse_mistakes(reader, path);
  return reader.settings;
}

Settings read_config(const std::string& path) {
  const auto file = read_config_file(path);
  auto reader = read_text(file.text, path);
  if (reader.password && file.readable_by_others) {
    reader.password->problem = "is a password in a file that others can read";
    reader.password->remedy = "run: chmod 600 FILE, or use a passfile";
    reader.mistakes.push_back(*reader.password);
  }
  if (reader.secret && file.readable_by_others) {
    reader.secret->problem = "is a secret in a file that others can read";
    reader.secret->remedy = "run: chmod 600 FILE, or name a file that holds it, as in \"sasl.password.file\"";
    reader.mistakes.push_back(*reader.secret);
  }
  refuse_mistakes(reader, path);
  return reader.settings;
}

}  // namespace anabranch
