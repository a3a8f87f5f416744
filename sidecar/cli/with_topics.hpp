// What the commands that read topics (audit, tail) share: the way to the brokers, and what is said where it ends.
#pragma once

#include <functional>

#include "sidecar/cli/settings.hpp"
#include "sidecar/log/kafka_topic_reader.hpp"
#include "sidecar/topic/topic_names.hpp"

namespace anabranch {

// Their exit codes: all is as it must be; the topics do not hold what they must; they could not be read.
constexpr int exit_whole = 0, exit_violation = 1, exit_unread = 3;

// Calls `read` with the topics that the settings name and returns its exit code; where they cannot be reached or read
// (KafkaError), says why on stderr and returns exit_unread. Brokers have 30 s for an answer.
int with_topics(const Settings& settings, const std::function<int(KafkaTopicReader&, const TopicNames&)>& read);

}  // namespace anabranch
