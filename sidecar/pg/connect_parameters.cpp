#include "sidecar/pg/connect_parameters.hpp"

#include <algorithm>
#include <cctype>
#include <memory>

#include <fmt/format.h>
#include <libpq-fe.h>

namespace anabranch::connect_parameters {
namespace {

constexpr std::string_view described[] = {"service", "host", "hostaddr", "port", "dbname", "user"};

// Found at once, not after the kernel's two hours: a peer that is gone without a word.
constexpr std::pair<const char*, const char*> keepalive_defaults[] = {
    {"keepalives_idle", "30"}, {"keepalives_interval", "10"}, {"keepalives_count", "3"}, {"tcp_user_timeout", "60000"}};

bool is_sqlstate(std::string_view text) {
  return text.size() == 5 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isdigit(c) || (std::isupper(c) && c < 0x80);
         });
}

}  // namespace

void Parameters::set(std::string keyword, std::string value) {
  const auto same =
      std::find_if(values_.begin(), values_.end(), [&](const auto& pair) { return pair.first == keyword; });
  if (same != values_.end())
    same->second = std::move(value);
  else
    values_.emplace_back(std::move(keyword), std::move(value));
}

std::vector<const char*> Parameters::keywords() const {
  std::vector<const char*> list;
  for (const auto& pair : values_) list.push_back(pair.first.c_str());
  list.push_back(nullptr);
  return list;
}

std::vector<const char*> Parameters::values() const {
  std::vector<const char*> list;
  for (const auto& pair : values_) list.push_back(pair.second.c_str());
  list.push_back(nullptr);
  return list;
}

std::string Parameters::description() const {
  std::string text;
  for (const std::string_view keyword : described)
    for (const auto& [given, value] : values_)
      if (given == keyword) text += fmt::format("{}{}={}", text.empty() ? "" : " ", given, value);
  return text.empty() ? "libpq's defaults" : text;
}

PgError Parameters::failure(std::string_view libpq_message) const {
  // Verbose form: 'connection to server ... failed: FATAL:  28P01: password authentication failed ...', then DETAIL,
  // HINT and LOCATION lines. With several hosts there are several such messages: the last one's code counts.
  std::string text, sqlstate = "08001";
  while (!libpq_message.empty()) {
    const size_t end = std::min(libpq_message.find('\n'), libpq_message.size());
    std::string line(libpq_message.substr(0, end));
    libpq_message.remove_prefix(std::min(end + 1, libpq_message.size()));
    if (line.starts_with("LOCATION:") || line.empty()) continue;
    for (size_t at = line.find(":  "); at != line.npos; at = line.find(":  ", at + 3)) {
      if (at + 10 > line.size() || line.substr(at + 8, 2) != ": " || !is_sqlstate(line.substr(at + 3, 5))) continue;
      sqlstate = line.substr(at + 3, 5);
      line.erase(at + 3, 7);
      break;
    }
    if (!text.empty()) text += "; ";
    text += line;
  }
  for (const auto& [keyword, value] : values_) {
    if ((keyword != "password" && keyword != "sslpassword") || value.empty()) continue;
    for (size_t at = text.find(value); at != text.npos; at = text.find(value, at + 3))
      text.replace(at, value.size(), "***");
  }
  return PgError(sqlstate, text.empty() ? "no connection to the server" : text, {}, {}, true);
}

Parameters parse(const ConnectOptions& options) {
  struct OptionsDeleter {
    void operator()(PQconninfoOption* list) const { PQconninfoFree(list); }
  };
  char* error = nullptr;
  const std::unique_ptr<PQconninfoOption, OptionsDeleter> list(PQconninfoParse(options.conninfo.c_str(), &error));
  if (!list) {
    PQfreemem(error);  // it quotes a part of the string, which may be the password
    throw PgError(
        "08001", "the connection string cannot be parsed", {},
        "Write it as libpq's keywords (host=... dbname=...) or as a URI; values with blanks in single quotes.", false);
  }
  Parameters parameters;
  for (const auto& [keyword, value] : keepalive_defaults) parameters.set(keyword, value);
  for (const PQconninfoOption* option = list.get(); option->keyword != nullptr; ++option)
    if (option->val != nullptr) parameters.set(option->keyword, option->val);
  parameters.set("application_name", options.application_name);
  parameters.set("client_encoding", "UTF8");
  if (options.replication) parameters.set("replication", "database");
  return parameters;
}

std::string trim(const char* message) {
  std::string text(message == nullptr ? "" : message);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

std::string quote_literal(std::string_view value) {
  const bool backslash = value.find('\\') != value.npos;
  std::string quoted = backslash ? " E'" : "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return quoted += '\'';
}

}  // namespace anabranch::connect_parameters
