// What a connection string and our own wishes come to, and how a refused connection is told without the password.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/pg/connection.hpp"

namespace anabranch::connect_parameters {

// libpq's keywords with their values, in the order libpq is to read them.
class Parameters {
 public:
  void set(std::string keyword, std::string value);
  // For libpq; end with nullptr, and live as long as this object.
  std::vector<const char*> keywords() const;
  std::vector<const char*> values() const;
  // "host=... dbname=...": only what was given, never a secret.
  std::string description() const;
  // libpq's message for a refused connection (verbose form) as an error with the server's SQLSTATE, or 08001.
  PgError failure(std::string_view libpq_message) const;

 private:
  friend Parameters parse(const ConnectOptions& options);
  std::vector<std::pair<std::string, std::string>> values_;
};

// Throws PgError (08001) when the connection string is not one; the string is not quoted, since it may hold a password.
Parameters parse(const ConnectOptions& options);

// Without libpq's newline at the end.
std::string trim(const char* message);

// A string constant that means the same whatever standard_conforming_strings says.
std::string quote_literal(std::string_view value);

}  // namespace anabranch::connect_parameters
