#include "sidecar/publish/content_progress.hpp"

#include <stdexcept>

#include <fmt/format.h>

#include "sidecar/topic/topic.pb.h"

namespace anabranch {

std::string content_key(const std::string& source, const ContentProgress& progress) {
  return fmt::format("{}//{}/{}", source, progress.relation, progress.request == 0 ? "initial" : "request");
}

bool is_content_key(std::string_view source, std::string_view key) {
  return key.starts_with(source) && key.substr(source.size()).starts_with("//");
}

std::string write_content_progress(const ContentProgress& progress) {
  topic::v1::ContentProgress record;
  record.set_relation(progress.relation);
  record.set_request(progress.request);
  record.set_state(static_cast<topic::v1::ContentProgress::State>(progress.state));
  record.set_table(progress.table);
  if (progress.next_key) record.set_next_key(*progress.next_key);
  record.set_rows(progress.rows);
  record.set_rows_read(progress.rows_read);
  record.set_shape(progress.shape);
  record.set_restarts(progress.restarts);
  return record.SerializeAsString();
}

ContentProgress read_content_progress(std::string_view bytes) {
  topic::v1::ContentProgress record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || record.relation() == 0)
    throw std::invalid_argument("the bytes are no ContentProgress");
  if (record.state() == topic::v1::ContentProgress::UNKNOWN ||
      !topic::v1::ContentProgress::State_IsValid(record.state()))
    throw std::invalid_argument(
        fmt::format("the ContentProgress is in state {}, which this version does not know: "
                    "install a newer one",
                    static_cast<int>(record.state())));
  ContentProgress progress;
  progress.relation = record.relation();
  progress.request = record.request();
  progress.state = static_cast<ContentProgress::State>(record.state());
  progress.table = record.table();
  if (record.has_next_key()) progress.next_key = record.next_key();
  progress.rows = record.rows();
  progress.rows_read = record.rows_read();
  progress.shape = record.shape();
  progress.restarts = record.restarts();
  return progress;
}

}  // namespace anabranch
