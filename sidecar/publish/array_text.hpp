// An array as PostgreSQL prints it, read in one pass.
#pragma once

#include <string>
#include <string_view>

namespace anabranch {

// What array text holds, in order.
class ArrayVisitor {
 public:
  virtual ~ArrayVisitor() = default;
  virtual void open() = 0;   // {
  virtual void close() = 0;  // }
  virtual void element(std::string_view value) = 0;
  virtual void null() = 0;
};

// Reads "{1,NULL,\"a b\"}", nested braces and a leading "[0:1]=" (the bounds are passed over). False when the text is
// no array; the visitor may have seen a part of it then. `scratch` keeps elements that had to be unescaped.
bool visit_array(std::string_view text, char delimiter, std::string& scratch, ArrayVisitor& visitor);

}  // namespace anabranch
