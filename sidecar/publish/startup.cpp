// The questions in their order: is it the source that the topics are of; do the topics still hold what is recorded; can
// the server still give what comes next. The first "no" is the answer.
#include "sidecar/publish/startup.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace anabranch {
namespace {

using Kind = StartupDecision::Kind;
using Reason = StartupDecision::Reason;

constexpr const char* adopt_remedy =
    "read what consumers need anew from the tables; \"anabranch adopt\" then goes on from where the slot stands, and "
    "marks "
    "the gap in the topics";

StartupDecision stop(Reason reason, std::string message) {
  return {Kind::stop, reason, Lsn(), std::move(message)};
}

// What has been handed out reaches to here: inside a transaction that is published in parts, to its end.
Lsn reaches(const Progress& progress) {
  return progress.within_transaction() ? progress.part_end_lsn : progress.lsn;
}

std::optional<StartupDecision> judge_identity(const StoredProgress& stored, const SourceFacts& source,
                                              const std::string& slot, const std::string& instance) {
  if (!stored.other_sources.empty())
    return stop(Reason::shared_prefix,
                fmt::format("source \"{}\" publishes under the same prefix: give each source a kafka.prefix of its own",
                            stored.other_sources.front()));
  if (!stored.progress) return std::nullopt;
  const Progress& progress = *stored.progress;
  if (progress.system_identifier != source.system_identifier)
    return stop(
        Reason::other_system,
        fmt::format("the topics are of the server with system identifier {}, this one has {}: a restored copy, a "
                    "clone or another cluster. If this is the one now, and the other is gone: {}",
                    progress.system_identifier, source.system_identifier, adopt_remedy));
  if (progress.slot != slot || progress.instance != instance)
    return stop(
        Reason::other_identity,
        fmt::format(
            "the topics were written from slot \"{}\" by instance \"{}\", the settings say slot \"{}\" and "
            "instance \"{}\": set them back, give this one a kafka.prefix of its own, or, if the other is gone: {}",
            progress.slot, progress.instance, slot, instance, adopt_remedy));
  return std::nullopt;
}

std::optional<StartupDecision> judge_progress(const Progress& progress, Lsn known) {
  if (progress.lsn >= known) return std::nullopt;
  return stop(
      Reason::progress_fell,
      fmt::format("the progress topic says {}, after it had said {}: the broker has lost what it had acknowledged, "
                  "or somebody else writes to it; look at the brokers, then start again",
                  progress.lsn.to_string(), known.to_string()));
}

std::optional<StartupDecision> judge_history(const Progress& progress, const SourceFacts& source) {
  const Lsn reached = reaches(progress);
  if (source.timeline > progress.timeline) {
    if (source.switched_at && reached <= *source.switched_at) return std::nullopt;
    return stop(
        Reason::diverged,
        fmt::format("the topics reach to {} on timeline {}, which this server left at {} for timeline {}: they hold "
                    "transactions that it never had; {}",
                    reached.to_string(), progress.timeline,
                    source.switched_at ? source.switched_at->to_string() : "an unknown position", source.timeline,
                    adopt_remedy));
  }
  if (source.timeline < progress.timeline || source.flushed < reached)
    return stop(
        Reason::older_server,
        fmt::format("the topics reach to {} on timeline {}, this server's WAL ends at {} on timeline {}: it was "
                    "restored from an older copy, or is an old primary. If it is the one now: {}",
                    reached.to_string(), progress.timeline, source.flushed.to_string(), source.timeline, adopt_remedy));
  return std::nullopt;
}

// Of what the history's positions do not tell: a copy that has written as much since.
std::optional<StartupDecision> judge_witness(const Progress& progress, const SourceFacts& source) {
  if (progress.witness.empty() || source.witnesses.have(progress.witness)) return std::nullopt;
  return stop(
      Reason::other_history,
      fmt::format(
          "the topics hold a witness of {} that this server's database does not have: its data is a copy of an "
          "earlier moment, a clone or an older backup, that has gone its own way since, or \"anabranch adopt\" "
          "has made another server the one. If so: stop this one, or give it a kafka.prefix of its own. If this "
          "is the one now: stop the other; {}",
          progress.lsn.to_string(), adopt_remedy));
}

std::optional<StartupDecision> judge_topics(const StartupFacts& facts) {
  const Progress& progress = *facts.stored.progress;
  if (!progress.cluster_id.empty() && !facts.cluster_id.empty() && progress.cluster_id != facts.cluster_id)
    return stop(
        Reason::other_cluster,
        fmt::format("the progress was written in Kafka cluster {}, this is {}: check kafka.brokers; if the topics "
                    "have moved: {}",
                    progress.cluster_id, facts.cluster_id, adopt_remedy));
  if (progress.transaction_offset >= 0 &&
      (!facts.transaction_end || *facts.transaction_end <= progress.transaction_offset))
    return stop(
        Reason::topic_lost,
        fmt::format("the topic of transactions {}, recorded is a record at offset {}: it was deleted, made anew, or "
                    "the broker has lost what it had acknowledged; {}",
                    facts.transaction_end ? fmt::format("ends at offset {}", *facts.transaction_end)
                                          : std::string("does not exist"),
                    progress.transaction_offset, adopt_remedy));
  for (const TopicEnd& topic : facts.topics) {
    const auto& recorded = topic.recorded;
    // One that was adopted after its end, and has not been made again yet.
    if (!topic.found && std::all_of(recorded.begin(), recorded.end(), [](int64_t offset) { return offset == 0; }))
      continue;
    if (!topic.found)
      return stop(Reason::topic_lost, fmt::format("topic \"{}\" does not exist any more: somebody has deleted it; {}",
                                                  topic.topic, adopt_remedy));
    for (size_t partition = 0; partition < topic.recorded.size(); ++partition) {
      const int64_t found = partition < topic.found->size() ? (*topic.found)[partition] : 0;
      if (found < topic.recorded[partition])
        return stop(
            Reason::topic_lost,
            fmt::format("partition {} of topic \"{}\" ends at offset {}, recorded is {}: it was made anew, or the "
                        "broker has lost what it had acknowledged; {}",
                        partition, topic.topic, found, topic.recorded[partition], adopt_remedy));
    }
  }
  return std::nullopt;
}

std::optional<StartupDecision> judge_slot(const StartupFacts& facts, std::optional<Lsn> from) {
  const std::string after =
      from ? fmt::format("what was written since {} is not in the topics; ", from->to_string()) : std::string();
  if (!facts.source.slot)
    return stop(Reason::slot_missing,
                fmt::format("replication slot \"{}\" does not exist: {}run \"anabranch init\" for a new one{}",
                            facts.slot, after, from ? std::string(". Then ") + adopt_remedy : std::string()));
  const SourceSlot& slot = *facts.source.slot;
  if (!slot.usable) return stop(Reason::slot_unusable, slot.problem);
  if (slot.lost)
    return stop(
        Reason::slot_lost,
        fmt::format("the server has removed WAL that replication slot \"{}\" needs (max_slot_wal_keep_size): {}drop "
                    "the slot, run \"anabranch init\"{}",
                    facts.slot, after, from ? std::string(". Then ") + adopt_remedy : std::string()));
  if (from && slot.confirmed > *from)
    return stop(
        Reason::gap,
        fmt::format("replication slot \"{}\" has been confirmed up to {}, the topics reach to {}: what lies between "
                    "is gone; somebody else has read the slot, or it was made anew; {}",
                    facts.slot, slot.confirmed.to_string(), from->to_string(), adopt_remedy));
  if (slot.active_pid)
    return StartupDecision{
        Kind::wait, Reason::slot_active, Lsn(),
        fmt::format("replication slot \"{}\" is in use by process {}", facts.slot, *slot.active_pid)};
  return std::nullopt;
}

}  // namespace

StartupDecision decide_before_init(const StartupFacts& facts) {
  const StartupDecision go_on{Kind::go_on, Reason::none, Lsn(), ""};
  if (const auto stopped = judge_identity(facts.stored, facts.source, facts.slot, facts.instance)) return *stopped;
  if (!facts.stored.progress) return go_on;
  const Progress& progress = *facts.stored.progress;
  // A transaction in doubt may hold a later P.
  if (facts.stored.whole)
    if (const auto stopped = judge_progress(progress, facts.known)) return *stopped;
  if (const auto stopped = judge_history(progress, facts.source)) return *stopped;
  if (const auto stopped = judge_witness(progress, facts.source)) return *stopped;
  const auto slot = judge_slot(facts, progress.lsn);
  const bool sure = slot && slot->kind == Kind::stop && (slot->reason != Reason::gap || facts.stored.whole);
  return sure ? *slot : go_on;
}

StartupDecision decide_startup(const StartupFacts& facts) {
  const SourceFacts& source = facts.source;
  if (const auto stopped = judge_identity(facts.stored, source, facts.slot, facts.instance)) return *stopped;
  if (!facts.stored.progress) {
    if (facts.known.valid() || source.published_before)
      return stop(
          Reason::progress_lost,
          fmt::format("this source has been published before (up to {}), and the progress topic has no record of it: "
                      "the topic was deleted, or kafka.brokers or kafka.prefix have changed; {}",
                      std::max(facts.known, source.published_lsn).to_string(), adopt_remedy));
    if (const auto stopped = judge_slot(facts, std::nullopt)) return *stopped;
    return {Kind::begin, Reason::first_start, source.slot->confirmed,
            fmt::format("publishing begins at {}", source.slot->confirmed.to_string())};
  }
  const Progress& progress = *facts.stored.progress;
  if (const auto stopped = judge_progress(progress, facts.known)) return *stopped;
  if (const auto stopped = judge_topics(facts)) return *stopped;
  if (const auto stopped = judge_history(progress, source)) return *stopped;
  if (const auto stopped = judge_witness(progress, source)) return *stopped;
  if (const auto stopped = judge_slot(facts, progress.lsn)) return *stopped;
  return {Kind::go_on, Reason::recorded, progress.lsn,
          fmt::format("publishing goes on at {}", progress.lsn.to_string())};
}

std::optional<Adoption> decide_adoption(const StartupDecision& decision, Lsn confirmed, Lsn published) {
  if (decision.kind == Kind::go_on) return Adoption{true, published};
  if (decision.kind != Kind::stop) return std::nullopt;
  switch (decision.reason) {
    case Reason::topic_lost:
    case Reason::other_cluster:  // the server goes on where it was
      return Adoption{false, std::max(confirmed, published)};
    case Reason::gap:
    case Reason::progress_lost:
    case Reason::other_system:
    case Reason::diverged:
    case Reason::older_server:
    case Reason::other_history:
      return Adoption{false, confirmed};
    default:
      return std::nullopt;
  }
}

const char* reason_name(Reason reason) {
  switch (reason) {
    case Reason::none:
      return "none";
    case Reason::first_start:
      return "first_start";
    case Reason::recorded:
      return "recorded";
    case Reason::slot_active:
      return "slot_active";
    case Reason::gap:
      return "gap";
    case Reason::progress_lost:
      return "progress_lost";
    case Reason::progress_fell:
      return "progress_fell";
    case Reason::slot_missing:
      return "slot_missing";
    case Reason::slot_unusable:
      return "slot_unusable";
    case Reason::slot_lost:
      return "slot_lost";
    case Reason::other_cluster:
      return "other_cluster";
    case Reason::topic_lost:
      return "topic_lost";
    case Reason::other_system:
      return "other_system";
    case Reason::other_identity:
      return "other_identity";
    case Reason::diverged:
      return "diverged";
    case Reason::older_server:
      return "older_server";
    case Reason::other_history:
      return "other_history";
    case Reason::shared_prefix:
      return "shared_prefix";
  }
  return "unknown";
}

}  // namespace anabranch
