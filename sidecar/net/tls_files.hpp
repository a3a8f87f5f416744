// Who is trusted, and what is shown, where TLS is spoken.
#pragma once

#include <string>

namespace anabranch {

// PEM. Every member has an initializer, so that callers may name those they want.
struct TlsFiles {
  std::string ca = {};  // the only authorities; empty: the system's
  // Shown to who asks for it; empty: none. A key that wants a password is refused.
  std::string certificate = {}, key = {};

  bool operator==(const TlsFiles&) const = default;
};

}  // namespace anabranch
