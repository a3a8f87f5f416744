// What goes into a statement and what comes out of it: parameters, rows, and the error.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/pg/lsn.hpp"

struct pg_result;

namespace anabranch {

// A statement or a connection that failed. The caller decides by sqlstate() and connection_lost(); message, detail and
// hint are the server's (or libpq's) words, without trailing newline. No password is ever in them.
class PgError : public std::runtime_error {
 public:
  PgError(std::string sqlstate, std::string message, std::string detail = {}, std::string hint = {},
          bool connection_lost = false);

  // Five characters; "08006" or "08001" where the connection broke or could not be made and the server said nothing.
  const std::string& sqlstate() const { return sqlstate_; }
  const std::string& message() const { return message_; }
  const std::string& detail() const { return detail_; }
  const std::string& hint() const { return hint_; }
  // The server's CONTEXT lines; empty when there are none.
  const std::string& context() const { return context_; }
  // The session is gone: make a new one. What a COMMIT under way did is unknown until the progress has been read again.
  bool connection_lost() const { return connection_lost_; }
  // In a pipeline: which of the statements sent since the last collect() failed, from 0. Otherwise 0.
  size_t statement() const { return statement_; }

 private:
  friend class Connection;
  std::string sqlstate_, message_, detail_, hint_, context_;
  bool connection_lost_;
  size_t statement_ = 0;
};

// The rows of one statement. Every string_view points into it: valid only as long as the Result lives. Movable.
// The typed readers throw PgError (SQLSTATE 22023) for NULL or a text that is no such value.
class Result {
 public:
  explicit Result(pg_result* result) : result_(result) {}

  size_t rows() const;
  size_t columns() const;
  // Index of a column by its name; throws PgError (SQLSTATE 42703) when there is none.
  size_t column(std::string_view name) const;
  bool null(size_t row, size_t column) const;
  // Text format. Empty for NULL.
  std::string_view text(size_t row, size_t column) const;
  int64_t integer(size_t row, size_t column) const;
  bool boolean(size_t row, size_t column) const;
  Lsn lsn(size_t row, size_t column) const;
  // An array of integers without NULLs, "{1,2}".
  std::vector<int64_t> integers(size_t row, size_t column) const;
  // nullopt for NULL.
  std::optional<std::string> optional_text(size_t row, size_t column) const;
  std::optional<Lsn> optional_lsn(size_t row, size_t column) const;
  // Rows that INSERT, UPDATE, DELETE, SELECT ... touched, as the command tag says; 0 when it says none.
  uint64_t affected() const;

 private:
  struct Deleter {
    void operator()(pg_result* result) const noexcept;
  };
  std::unique_ptr<pg_result, Deleter> result_;
};

// Parameters of one statement, in order ($1 is the first added). Text values are copied; binary ones are not and must
// live until the call that takes the Parameters has returned.
class Parameters {
 public:
  Parameters& text(std::string_view value);
  Parameters& optional_text(const std::optional<std::string>& value);
  Parameters& integer(int64_t value);
  Parameters& boolean(bool value);
  Parameters& lsn(Lsn value);
  Parameters& null();
  // The type's binary representation. `type_oid` must be given unless the statement casts it: 17 (bytea) by default.
  Parameters& binary(std::string_view value, uint32_t type_oid = 17);

  size_t size() const { return values_.size(); }

 private:
  friend class Connection;
  std::deque<std::string> owned_;
  std::vector<const char*> values_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::vector<uint32_t> types_;
};

}  // namespace anabranch
