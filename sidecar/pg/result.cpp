#include "sidecar/pg/result.hpp"

#include <charconv>

#include <fmt/format.h>
#include <libpq-fe.h>

namespace anabranch {
namespace {

// A value that is not what its reader expects is a fault of ours, or of a server that is not the one we know.
PgError unexpected(const PGresult* result, size_t column, std::string_view what, std::string_view text) {
  const char* name = PQfname(result, static_cast<int>(column));
  return PgError("22023", fmt::format("column \"{}\" of a result is no {}: \"{}\"", name == nullptr ? "?" : name, what,
                                      text.substr(0, 100)));
}

}  // namespace

PgError::PgError(std::string sqlstate, std::string message, std::string detail, std::string hint, bool connection_lost)
    : std::runtime_error(fmt::format("{}{}{}{}{} (SQLSTATE {})", message, detail.empty() ? "" : "; detail: ", detail,
                                     hint.empty() ? "" : "; hint: ", hint, sqlstate)),
      sqlstate_(std::move(sqlstate)),
      message_(std::move(message)),
      detail_(std::move(detail)),
      hint_(std::move(hint)),
      connection_lost_(connection_lost) {}

void Result::Deleter::operator()(pg_result* result) const noexcept {
  PQclear(result);
}

size_t Result::rows() const {
  return static_cast<size_t>(PQntuples(result_.get()));
}
size_t Result::columns() const {
  return static_cast<size_t>(PQnfields(result_.get()));
}

size_t Result::column(std::string_view name) const {
  // Not PQfnumber(): that folds to lower case and takes quotation marks for quotation.
  for (size_t i = 0; i < columns(); ++i)
    if (name == PQfname(result_.get(), static_cast<int>(i))) return i;
  throw PgError("42703", fmt::format("column \"{}\" is missing in a result", name), {},
                "The extension in the database and this program are of different versions: update both.");
}

bool Result::null(size_t row, size_t column) const {
  return PQgetisnull(result_.get(), static_cast<int>(row), static_cast<int>(column)) != 0;
}

std::string_view Result::text(size_t row, size_t column) const {
  if (row >= rows() || column >= columns())
    throw PgError("22023", fmt::format("row {} column {} of a result of {} by {}", row, column, rows(), columns()));
  const int r = static_cast<int>(row), c = static_cast<int>(column);
  return {PQgetvalue(result_.get(), r, c), static_cast<size_t>(PQgetlength(result_.get(), r, c))};
}

int64_t Result::integer(size_t row, size_t column) const {
  const std::string_view value = text(row, column);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size())
    throw unexpected(result_.get(), column, "integer", value);
  return number;
}

bool Result::boolean(size_t row, size_t column) const {
  const std::string_view value = text(row, column);
  if (value != "t" && value != "f") throw unexpected(result_.get(), column, "boolean", value);
  return value == "t";
}

Lsn Result::lsn(size_t row, size_t column) const {
  const auto lsn = Lsn::parse(text(row, column));
  if (!lsn) throw unexpected(result_.get(), column, "pg_lsn", text(row, column));
  return *lsn;
}

std::vector<int64_t> Result::integers(size_t row, size_t column) const {
  const std::string_view value = text(row, column);
  std::vector<int64_t> numbers;
  if (value == "{}") return numbers;
  const char* at = value.data();
  const char* const end = at + value.size();
  bool good = value.size() >= 3 && value.front() == '{' && value.back() == '}';
  while (good && at + 1 < end) {  // *at is the brace or the comma before a number
    const auto [next, error] = std::from_chars(at + 1, end, numbers.emplace_back());
    good = error == std::errc() && (*next == ',' || (*next == '}' && next + 1 == end));
    at = next;
  }
  if (!good) throw unexpected(result_.get(), column, "array of integers", value);
  return numbers;
}

std::optional<std::string> Result::optional_text(size_t row, size_t column) const {
  if (null(row, column)) return std::nullopt;
  return std::string(text(row, column));
}

std::optional<Lsn> Result::optional_lsn(size_t row, size_t column) const {
  if (null(row, column)) return std::nullopt;
  return lsn(row, column);
}

uint64_t Result::affected() const {
  const std::string_view text = PQcmdTuples(result_.get());
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Parameters& Parameters::text(std::string_view value) {
  // libpq would take it for the end.
  if (value.find('\0') != value.npos) throw PgError("22021", "a text parameter holds a zero byte");
  owned_.emplace_back(value);
  values_.push_back(owned_.back().c_str());
  lengths_.push_back(0);
  formats_.push_back(0);
  types_.push_back(0);
  return *this;
}

Parameters& Parameters::optional_text(const std::optional<std::string>& value) {
  return value ? text(*value) : null();
}
Parameters& Parameters::integer(int64_t value) {
  return text(std::to_string(value));
}
Parameters& Parameters::boolean(bool value) {
  return text(value ? "t" : "f");
}
Parameters& Parameters::lsn(Lsn value) {
  return text(value.to_string());
}

Parameters& Parameters::null() {
  values_.push_back(nullptr);
  lengths_.push_back(0);
  formats_.push_back(0);
  types_.push_back(0);
  return *this;
}

Parameters& Parameters::binary(std::string_view value, uint32_t type_oid) {
  // The protocol's length is 31 bits, and a field of PostgreSQL 1 GB.
  if (value.size() > (size_t{1} << 30)) throw PgError("54000", "a parameter is larger than 1 GB");
  values_.push_back(value.data() == nullptr ? "" : value.data());
  lengths_.push_back(static_cast<int>(value.size()));
  formats_.push_back(1);
  types_.push_back(type_oid);
  return *this;
}

}  // namespace anabranch
