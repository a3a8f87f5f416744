#include "sidecar/publish/array_text.hpp"

namespace anabranch {
namespace {

constexpr int depth_max = 6;  // MAXDIM

class Parser {
 public:
  Parser(std::string_view text, char delimiter, std::string& scratch, ArrayVisitor& visitor)
      : rest_(text), delimiter_(delimiter), scratch_(scratch), visitor_(visitor) {}

  bool parse() {
    if (!rest_.empty() && rest_[0] == '[') {
      const auto end = rest_.find('=');
      if (end == std::string_view::npos) return false;
      rest_.remove_prefix(end + 1);
    }
    return braces(1) && rest_.empty();
  }

 private:
  bool take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool braces(int depth) {
    if (depth > depth_max || !take('{')) return false;
    visitor_.open();
    if (!take('}')) {
      do
        if (!(!rest_.empty() && rest_[0] == '{' ? braces(depth + 1) : element())) return false;
      while (take(delimiter_));
      if (!take('}')) return false;
    }
    visitor_.close();
    return true;
  }

  bool element() { return take('"') ? quoted() : plain(); }

  bool quoted() {
    scratch_.clear();
    for (;;) {
      const auto end = rest_.find_first_of("\"\\");
      if (end == std::string_view::npos) return false;
      scratch_ += rest_.substr(0, end);
      const bool is_end = rest_[end] == '"';
      rest_.remove_prefix(end + 1);
      if (is_end) break;
      if (rest_.empty()) return false;
      scratch_ += rest_[0];
      rest_.remove_prefix(1);
    }
    visitor_.element(scratch_);
    return true;
  }

  bool plain() {
    size_t size = 0;
    while (size < rest_.size() && rest_[size] != delimiter_ && rest_[size] != '}') {
      const char c = rest_[size];
      if (c == '"' || c == '{' || c == '\\') return false;
      ++size;
    }
    if (size == 0 || size == rest_.size()) return false;
    const auto value = rest_.substr(0, size);
    if (value == "NULL")
      visitor_.null();
    else
      visitor_.element(value);
    rest_.remove_prefix(size);
    return true;
  }

  std::string_view rest_;
  char delimiter_;
  std::string& scratch_;
  ArrayVisitor& visitor_;
};

}  // namespace

bool visit_array(std::string_view text, char delimiter, std::string& scratch, ArrayVisitor& visitor) {
  return Parser(text, delimiter, scratch, visitor).parse();
}

}  // namespace anabranch
