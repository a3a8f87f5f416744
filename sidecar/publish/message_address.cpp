#include "sidecar/publish/message_address.hpp"

namespace anabranch {

std::optional<MessageAddress> message_address(std::string_view emitted, const std::vector<std::string>& configured) {
  std::optional<MessageAddress> found;
  for (const std::string& prefix : configured) {
    if (emitted == prefix) return MessageAddress{prefix, std::nullopt};
    if (!emitted.starts_with(prefix) || emitted[prefix.size()] != ':') continue;
    if (!found || found->prefix.size() < prefix.size())
      found = MessageAddress{prefix, emitted.substr(prefix.size() + 1)};
  }
  return found;
}

}  // namespace anabranch
