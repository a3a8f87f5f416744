// Where a logical message goes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace anabranch {

struct MessageAddress {
  std::string_view prefix;              // the configured one: it names the topic
  std::optional<std::string_view> key;  // of the record
};

// A message goes to the topic of the configured prefix that it was emitted with. It may add a key, behind a colon:
// "outbox:42" is a message of "outbox" with the key "42". The prefix that is exactly the emitted one wins, then the
// longest. nullopt: it is not to be published. The views point into the arguments.
std::optional<MessageAddress> message_address(std::string_view emitted, const std::vector<std::string>& configured);

}  // namespace anabranch
