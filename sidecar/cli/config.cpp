#include "sidecar/cli/config.hpp"

#include "sidecar/cli/config_file.hpp"
#include "sidecar/cli/names.hpp"
#include "sidecar/cli/units.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>
#include <numeric>
#include <optional>
#include <toml++/toml.h>

namespace anabranch {
namespace {

// Why a value is refused.
struct Refusal {
  std::string problem;
  std::string remedy;
};

constexpr size_t value_bytes_max = 4096;

std::string_view type_name(const toml::node& value) {
  switch (value.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a number";
    case toml::node_type::floating_point:
      return "a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

std::string text_of(const toml::node& value, std::string_view example) {
  const auto* text = value.as_string();
  if (text == nullptr)
    throw Refusal{fmt::format("is {}, not a string", type_name(value)), fmt::format("write it as \"{}\"", example)};
  if (text->get().empty()) throw Refusal{"is empty", "give it a value, or leave the line out"};
  if (text->get().size() > value_bytes_max) throw Refusal{"is longer than 4096 bytes", "shorten it"};
  if (text->get().find('\0') != std::string::npos) throw Refusal{"holds a NUL character", "take it out"};
  return text->get();
}

int64_t number_of(const toml::node& value, int64_t least, int64_t most) {
  const auto* number = value.as_integer();
  if (number == nullptr)
    throw Refusal{fmt::format("is {}, not a whole number", type_name(value)),
                  fmt::format("write a number from {} to {}, without quotes", least, most)};
  if (number->get() < least || number->get() > most)
    throw Refusal{fmt::format("is {}, outside {} to {}", number->get(), least, most),
                  fmt::format("write a number from {} to {}", least, most)};
  return number->get();
}

// An amount with its unit, by `parse`, between the amounts that `least` and `most` spell.
template <typename Parse>
auto amount_of(const toml::node& value, Parse parse, std::string_view least, std::string_view most) {
  try {
    if (!value.is_string())
      throw Refusal{fmt::format("is {}, not a string with a unit", type_name(value)),
                    fmt::format("write it as in \"{}\"", most)};
    const auto text = text_of(value, most);
    const auto amount = parse(text);
    if (amount < parse(least) || amount > parse(most))
      throw Refusal{fmt::format("is \"{}\", outside {} to {}", printable(text), least, most),
                    "write an amount between the two"};
    return amount;
  } catch (const UnitError& error) {
    throw Refusal{error.problem, error.remedy};
  }
}

template <typename Choice>
Choice choice_of(const toml::node& value, std::initializer_list<std::pair<std::string_view, Choice>> choices) {
  std::string known;
  for (const auto& [name, meaning] : choices) known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", name);
  const auto text = text_of(value, choices.begin()->first);
  for (const auto& [name, meaning] : choices)
    if (name == text) return meaning;
  throw Refusal{fmt::format("is \"{}\", which is unknown", printable(text)), fmt::format("write one of {}", known)};
}

struct Key {
  std::string_view section;
  std::string_view name;
  void (*read)(Settings& settings, const toml::node& value);
};

#define ANABRANCH_PARAMETER(keyword, example) \
  [](Settings& settings, const toml::node& value) { settings.home[keyword] = text_of(value, example); }

constexpr std::string_view home_section = "source.home";

// Every key there is, in the order of docs/configuration.md.
constexpr std::array keys{
    Key{"", "batch_interval_max",
        [](Settings& settings, const toml::node& value) {
          settings.batch_interval_max = amount_of(value, parse_duration, "1 ms", "60 s");
        }},
    Key{"", "fill_workers_max",
        [](Settings& settings, const toml::node& value) {
          settings.fill_workers_max = static_cast<int>(number_of(value, 1, 16));
        }},
    Key{home_section, "host", ANABRANCH_PARAMETER("host", "/var/run/postgresql")},
    Key{home_section, "port",
        [](Settings& settings, const toml::node& value) {
          settings.home["port"] = std::to_string(number_of(value, 1, 65535));
        }},
    Key{home_section, "user", ANABRANCH_PARAMETER("user", "anabranch")},
    Key{home_section, "database", ANABRANCH_PARAMETER("dbname", "shop")},
    Key{home_section, "password", ANABRANCH_PARAMETER("password", "...")},
    Key{home_section, "passfile", ANABRANCH_PARAMETER("passfile", "/etc/anabranch/pgpass")},
    Key{home_section, "sslmode",
        [](Settings& settings, const toml::node& value) {
          settings.home["sslmode"] = choice_of<std::string>(value, {{"verify-full", "verify-full"},
                                                                    {"verify-ca", "verify-ca"},
                                                                    {"require", "require"},
                                                                    {"prefer", "prefer"},
                                                                    {"allow", "allow"},
                                                                    {"disable", "disable"}});
        }},
    Key{home_section, "sslrootcert", ANABRANCH_PARAMETER("sslrootcert", "/etc/anabranch/root.crt")},
    Key{home_section, "sslcert", ANABRANCH_PARAMETER("sslcert", "/etc/anabranch/client.crt")},
    Key{home_section, "sslkey", ANABRANCH_PARAMETER("sslkey", "/etc/anabranch/client.key")},
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
    Key{"log", "format",
        [](Settings& settings, const toml::node& value) {
          settings.log_format = choice_of<LogFormat>(value, {{"text", LogFormat::text}, {"json", LogFormat::json}});
        }},
    Key{"log", "level",
        [](Settings& settings, const toml::node& value) {
          settings.log_level = choice_of<LogLevel>(value, {{"debug", LogLevel::debug},
                                                           {"info", LogLevel::info},
                                                           {"warning", LogLevel::warning},
                                                           {"error", LogLevel::error}});
        }},
};

#undef ANABRANCH_PARAMETER

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

// What to do about a key that does not exist: the nearest that does, in this section or another.
std::string advice(std::string_view section, std::string_view name) {
  constexpr size_t letters_max = 3;
  const Key* nearest = nullptr;
  size_t nearest_distance = letters_max;
  std::string known;
  for (const auto& key : keys) {
    const bool here = key.section == section;
    if (here) known += fmt::format("{}{}", known.empty() ? "" : ", ", key.name);
    // Names of many letters would make the distance slow, and are like none of ours.
    const size_t away = name.size() > 64 ? letters_max : distance(name, key.name) + (here ? 0 : 1);
    if (away < nearest_distance) {
      nearest = &key;
      nearest_distance = away;
    }
  }
  if (nearest != nullptr && nearest->section == section) return fmt::format("did you mean {}?", nearest->name);
  if (nearest != nullptr)
    return fmt::format(
        "did you mean {} in {}?", nearest->name,
        nearest->section.empty() ? "the part before the first [section]" : fmt::format("[{}]", nearest->section));
  return fmt::format("keys here are {}", known);
}

class Reader {
 public:
  Settings settings;
  std::vector<Mistake> mistakes;
  std::optional<Mistake> password;

  void read_root(const toml::table& root) {
    for (const auto& [name, value] : root) {
      if (name == "source")
        read_sources(name, value);
      else if (name == "log")
        read_section(name, value, "log");
      else if (value.is_table() || value.is_array_of_tables())
        add(name, name.str(), "is no section", "sections are [source.home] and [log]");
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
    for (const auto& key : keys) {
      if (key.section != section || key.name != name.str()) continue;
      try {
        key.read(settings, value);
      } catch (Refusal& refusal) {
        const auto& at = value.source().begin;
        mistakes.push_back({at.line, at.column, path, std::move(refusal.problem), std::move(refusal.remedy)});
      }
      if (key.name == "password")
        password = Mistake{value.source().begin.line, value.source().begin.column, path, "", ""};
      return;
    }
    add(name, path, "is no key", advice(section, name.str()));
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
  refuse_mistakes(reader, path);
  return reader.settings;
}

}  // namespace anabranch
