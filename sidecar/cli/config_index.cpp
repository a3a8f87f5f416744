#include "sidecar/cli/config_index.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include <fmt/format.h>

#include "sidecar/cli/config_keys.hpp"
#include "sidecar/cli/config_values.hpp"
#include "sidecar/cli/index_url.hpp"
#include "sidecar/cli/names.hpp"

namespace anabranch {
namespace {

using Kind = IndexSettings::Kind;

constexpr size_t name_bytes_max = 63;
constexpr size_t urls_max = 32;
constexpr std::string_view url_example = "https://search1:9200";

struct Key {
  std::string_view name;
  void (*read)(IndexSettings& settings, const toml::node& value);
};

constexpr std::array keys{
    Key{"kind",
        [](IndexSettings& settings, const toml::node& value) {
          settings.kind = choice_of<Kind>(
              value,
              {{"opensearch", Kind::opensearch}, {"elasticsearch", Kind::elasticsearch}, {"redis", Kind::redis}});
        }},
    // What stands in them depends on the kind: read_urls().
    Key{"url",
        [](IndexSettings& settings, const toml::node& value) {
          if (!value.is_array()) {
            settings.urls = {text_of(value, url_example)};
            return;
          }
          settings.urls = texts_of(value, url_example);
          if (settings.urls.empty()) throw Refusal{"is empty", fmt::format("write it as \"{}\"", url_example)};
          if (settings.urls.size() > urls_max)
            throw Refusal{fmt::format("has more than {} addresses", urls_max), "name some of the nodes"};
        }},
    Key{"user", [](IndexSettings& settings, const toml::node& value) { settings.user = text_of(value, "anabranch"); }},
    Key{"password_file",
        [](IndexSettings& settings, const toml::node& value) {
          settings.password_file = text_of(value, "/etc/anabranch/search-password");
        }},
    Key{"ca_file", [](IndexSettings& settings,
                      const toml::node& value) { settings.tls.ca = text_of(value, "/etc/anabranch/search-ca.crt"); }},
    Key{"certificate_file",
        [](IndexSettings& settings, const toml::node& value) {
          settings.tls.certificate = text_of(value, "/etc/anabranch/anabranch.crt");
        }},
    Key{"key_file", [](IndexSettings& settings,
                       const toml::node& value) { settings.tls.key = text_of(value, "/etc/anabranch/anabranch.key"); }},
    Key{"bulk_bytes_max",
        [](IndexSettings& settings, const toml::node& value) {
          settings.bulk_bytes_max = static_cast<size_t>(amount_of(value, parse_bytes, "1 kB", "100 MB"));
        }},
    Key{"in_flight_max",
        [](IndexSettings& settings, const toml::node& value) {
          settings.in_flight_max = static_cast<int>(number_of(value, 1, 16));
        }},
    Key{"refresh_interval",
        [](IndexSettings& settings, const toml::node& value) {
          settings.refresh_interval = amount_of(value, parse_duration, "100 ms", "1 h");
        }},
    Key{"request_timeout",
        [](IndexSettings& settings, const toml::node& value) {
          settings.request_timeout = amount_of(value, parse_duration, "100 ms", "1 h");
        }},
};

constexpr auto key_names = [] {
  std::array<std::string_view, keys.size()> names;
  for (size_t i = 0; i < keys.size(); ++i) names[i] = keys[i].name;
  return names;
}();

bool is_name(std::string_view name) {
  constexpr std::string_view known = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
  return !name.empty() && name.size() <= name_bytes_max && name.find_first_not_of(known) == std::string_view::npos;
}

// One section, once.
class Section {
 public:
  Section(const toml::key& key, const toml::table& table, std::vector<Mistake>& mistakes)
      : key_(key), table_(table), path_(fmt::format("index.{}", key.str())), mistakes_(mistakes) {}

  IndexSettings read() {
    for (const auto& [name, value] : table_) read_key(name, value);
    need("kind", "write kind = \"opensearch\", \"elasticsearch\" or \"redis\"");
    need("url", fmt::format("write where it is: url = \"{}\", for Redis url = \"redis://cache1:6379/0\"", url_example));
    if (understood_.contains("url")) read_urls();
    if (understood_.contains("kind")) judge();
    return settings_;
  }

 private:
  void add(const toml::source_position& at, std::string_view name, std::string problem, std::string remedy) {
    mistakes_.push_back(
        {at.line, at.column, fmt::format("{}.{}", path_, printable(name)), std::move(problem), std::move(remedy)});
  }

  void read_key(const toml::key& name, const toml::node& value) {
    if (name == "password")
      return add(name.source().begin, "password", "is not to stand in this file",
                 "write it into a file of its own, and name that: password_file = \"PATH\"");
    const auto* key = std::find_if(keys.begin(), keys.end(), [&](const Key& one) { return one.name == name.str(); });
    if (key == keys.end())
      return add(name.source().begin, name.str(), "is no key", key_advice(index_section, name.str()));
    try {
      key->read(settings_, value);
      understood_.insert(key->name);
    } catch (Refusal& refusal) {
      add(value.source().begin, name.str(), std::move(refusal.problem), std::move(refusal.remedy));
    }
  }

  void need(std::string_view name, std::string remedy) {
    if (!table_.contains(name)) add(key_.source().begin, name, "is missing", std::move(remedy));
  }

  void read_urls() {
    const auto& value = *table_.get("url");
    for (size_t i = 0; i < settings_.urls.size(); ++i) {
      const auto& at = value.is_array() ? value.as_array()->get(i)->source().begin : value.source().begin;
      if (holds_credentials(settings_.urls[i])) {
        add(at, "url", "holds a user or a password", "write them into user and password_file");
        continue;
      }
      if (!understood_.contains("kind")) continue;
      try {
        settings_.urls[i] = index_url(settings_.kind, settings_.urls[i]);
      } catch (Refusal& refusal) {
        add(at, "url", std::move(refusal.problem), std::move(refusal.remedy));
      }
    }
  }

  // Keys that do not go together.
  void judge() {
    const bool redis = settings_.kind == Kind::redis;
    const std::string_view encrypted = redis ? "rediss://" : "https://";
    if (std::any_of(settings_.urls.begin(), settings_.urls.end(),
                    [&](const auto& url) { return !url.starts_with(encrypted); }))
      for (const auto name : {"ca_file", "certificate_file", "key_file"})
        refuse(name, fmt::format("is of no use where url does not say {}", encrypted),
               fmt::format("write {}, or leave the line out", encrypted));
    if (!table_.contains("key_file"))
      refuse("certificate_file", "has no key", "write key_file = \"PATH\", of a file that holds it");
    if (!table_.contains("certificate_file"))
      refuse("key_file", "is the key of no certificate", "write certificate_file = \"PATH\", of a file that holds it");
    if (redis) refuse("refresh_interval", "is of search engines: Redis shows what is written at once");
    if (!table_.contains("password_file"))
      refuse("user", "has no password", "write password_file = \"PATH\", of a file that holds it");
    if (!redis && !table_.contains("user"))
      refuse("password_file", "is a password of nobody", "write user = \"NAME\", whose it is");
  }

  void refuse(std::string_view name, std::string problem, std::string remedy = "leave the line out") {
    if (understood_.contains(name)) add(table_.get(name)->source().begin, name, std::move(problem), std::move(remedy));
  }

  const toml::key& key_;
  const toml::table& table_;
  const std::string path_;
  std::vector<Mistake>& mistakes_;
  IndexSettings settings_;
  std::set<std::string_view> understood_;  // keys that stand there, and hold what they may
};

}  // namespace

IndexSections read_indexes(const toml::key& key, const toml::node& value, std::vector<Mistake>& mistakes) {
  constexpr std::string_view remedy = "write [index.NAME], as in [index.search], and below it kind and url";
  IndexSections indexes;
  const auto add = [&](const toml::key& at, std::string path, std::string problem, std::string what_to_do) {
    const auto& begin = at.source().begin;
    mistakes.push_back({begin.line, begin.column, std::move(path), std::move(problem), std::move(what_to_do)});
  };
  const auto* sections = value.as_table();
  if (sections == nullptr) {
    add(key, "index", fmt::format("is {}, not a section", type_name(value)), std::string(remedy));
    return indexes;
  }
  for (const auto& [name, node] : *sections) {
    const auto* section = node.as_table();
    if (section == nullptr)
      add(name, fmt::format("index.{}", printable(name.str())), fmt::format("is {}, not a section", type_name(node)),
          std::string(remedy));
    else if (!is_name(name.str()))
      add(name, fmt::format("index.\"{}\"", printable(name.str())), "cannot name an engine",
          fmt::format("use at most {} letters, digits, _ and -", name_bytes_max));
    else
      indexes.emplace(name.str(), Section(name, *section, mistakes).read());
  }
  return indexes;
}

std::span<const std::string_view> index_key_names() {
  return key_names;
}

}  // namespace anabranch
