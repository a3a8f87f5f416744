// How far the rows of a table have been brought into its topic: ContentProgress of topic.proto.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace anabranch {

struct ContentProgress {
  // Numbers of ContentProgress.State, there for good.
  enum class State : uint8_t {
    running = 1,
    done = 2,
    cancelled = 3,
    failed = 4,
    stale = 5  // done, and changes were lost afterwards (anabranch adopt)
  };
  uint32_t relation = 0;
  uint64_t request = 0;  // 0: initial content; else a call of republish
  State state = State::running;
  std::string table;                    // schema.name
  std::optional<std::string> next_key;  // what follows is still to be read; nullopt: all
  uint64_t rows = 0, rows_read = 0;
  uint64_t shape = 0;  // hash of the columns it was read with; 0: no row yet
  uint32_t restarts = 0;
};

// The key of its record in the progress topic. No topic's name begins with "/": it is none of a TopicPosition.
std::string content_key(const std::string& source, const ContentProgress& progress);
// Of a source's record that is no Progress: whether it is a ContentProgress.
bool is_content_key(std::string_view source, std::string_view key);

std::string write_content_progress(const ContentProgress& progress);
// Throws std::invalid_argument, naming what is wrong.
ContentProgress read_content_progress(std::string_view bytes);

}  // namespace anabranch
