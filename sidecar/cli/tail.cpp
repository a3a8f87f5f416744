// Method:
//   1. The transaction topic is read backwards until the transactions wanted are found.
//   2. From there they are put together as for a copy, and printed.
#include "sidecar/cli/tail.hpp"

#include <set>

#include <fmt/format.h>

#include "sidecar/cli/change_text.hpp"
#include "sidecar/cli/names.hpp"
#include "sidecar/cli/with_topics.hpp"
#include "sidecar/log/topic_tail.hpp"
#include "sidecar/log/topic_transactions.hpp"
#include "sidecar/publish/format.hpp"
#include "sidecar/publish/iso_time.hpp"
#include "sidecar/publish/make_format.hpp"

namespace anabranch {
namespace {

// As they are called by "anabranch tail": with the prefix, or without.
std::set<std::string> topics_of(const TopicNames& names, const std::vector<std::string>& given,
                                KafkaTopicReader& reader) {
  const auto there = reader.topics(names.prefix() + ".");
  std::set<std::string> topics;
  for (const std::string& name : given) {
    const std::string whole = there.contains(name) ? name : names.prefix() + "." + name;
    if (!there.contains(whole))
      throw UsageError(fmt::format("there is no topic \"{}\"; write it as schema.table or message.prefix, as in "
                                   "anabranch tail public.orders",
                                   printable(whole)),
                       Command::tail);
    topics.insert(whole);
  }
  return topics;
}

class Printer {
 public:
  void print(const TransactionPiece& piece) {
    if (piece.changes.empty()) return;
    if (piece.first || !open_) print_head(piece);
    open_ = !piece.last();
    for (const Change& change : piece.changes) fmt::print("  {}\n", changes_.line(change));
    if (std::fflush(stdout) != 0) throw std::runtime_error("the output could not be written");
  }

 private:
  void print_head(const TransactionPiece& piece) {
    std::string time;
    append_timestamp(time, piece.commit_time, "Z");
    fmt::print("{}  {}{}{}\n", piece.unit_end.to_string(),
               piece.xid == 0 ? "outside of transactions" : fmt::format("transaction {}", piece.xid),
               piece.commit_time == 0 ? "" : "  " + time,
               piece.origin.empty() ? "" : fmt::format("  from origin {}", printable(piece.origin)));
  }

  ChangeText changes_;
  bool open_ = false;  // the head of the transaction has been printed, and it goes on
};

void show(KafkaTopicReader& reader, const TopicNames& names, const TailOptions& options) {
  TopicTransactionsOptions reading;
  reading.transaction_topic = names.transaction();
  reading.relation_topic = names.relation();
  reading.message_prefix = names.message_prefix();
  reading.shown = topics_of(names, options.topics, reader);
  const TopicTail begin = find_tail(reader, names.transaction(), options.count, *reading.shown);
  if (!begin.from.valid() && !options.follow) {
    fmt::print("nothing has been published to the topics \"{}.*\" yet\n", names.prefix());
    return;
  }
  TopicTransactions transactions(reader, reading, begin.from, begin.offset);
  Printer printer;
  for (int64_t offset = -1; options.follow || offset < begin.last_offset;) {
    const auto piece = transactions.next(topic_read_wait, {});
    if (!piece) continue;
    offset = piece->log_offset;
    printer.print(*piece);
  }
}

}  // namespace

int tail(const Settings& settings, const TailOptions& options) {
  if (!feeds_copies(settings.kafka.format)) {
    fmt::print(stderr,
               "kafka.format is \"{}\"; this shows topics of the format \"protobuf\" alone, others are read by "
               "what reads that format\n",
               settings.kafka.format);
    return exit_unread;
  }
  return with_topics(settings, [&](KafkaTopicReader& reader, const TopicNames& names) {
    std::string damage;
    try {
      show(reader, names, options);
      return exit_whole;
    } catch (const LogError& error) {
      damage = error.what();
    } catch (const FormatError& error) {
      damage = error.what();
    }
    fmt::print(stderr, "the topics cannot be read on: {}\n", printable(damage));
    return exit_violation;
  });
}

}  // namespace anabranch
