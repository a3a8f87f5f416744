// Who is trusted, and what is shown, where TLS is spoken.
#pragma once

#include <string>

namespace anabranch {

// PEM. Every member has an initializer, so that callers may name those they want.
struct TlsFiles {
  std::string ca = {};  // empty: the system's authorities
  std::string certificate = {},
              key = {};  // shown to who asks for it; empty: none. A key that wants a password is refused

  bool operator==(const TlsFiles&) const = default;
};

}  // namespace anabranch
