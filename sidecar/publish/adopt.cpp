// Method:
//   1. The slot must be ours to go on from, and nobody else may publish under the prefix.
//   2. Whoever published before must not go on: its transactional.id is taken, then let go; then our own is.
//   3. The slot must still be free: a sidecar that goes on reading would be at another position than the one written.
//      What would a start say if only the names were right (startup.hpp)? Either nothing is missing, or publishing goes
//      on at the slot's position, or, where only topics are lost, at the later of that and P.
//   4. A fresh witness in the database. The one before stays only where it was ours: should we end here, what was a
//      clone still is one.
//   5. One Kafka transaction: the gap where there is one, what topics end at now, which tables' content is void by it,
//      and Progress under the new identity with the fresh witness. It goes out with a P that may lie before it, unlike
//      any other: from now on the former source has to be told from this one. A standby that is promoted without it,
//      before the next one is recorded, has to be adopted, too.
#include "sidecar/publish/adopt.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "sidecar/failpoint.hpp"
#include "sidecar/publish/batch.hpp"
#include "sidecar/publish/real_parts.hpp"
#include "sidecar/publish/startup_facts.hpp"

namespace anabranch {
namespace {

using namespace std::chrono_literals;

// So long a slot may stay in use by a session that is about to end.
constexpr std::chrono::seconds slot_free_time_max{5};

RunError refused(const std::string& message) {
  return {RunError::Kind::configuration, message};
}

const SourceSlot& usable_slot(const std::string& name, const SourceFacts& facts) {
  const auto& slot = facts.slot;
  if (!slot) throw refused(fmt::format("replication slot \"{}\" does not exist: run \"anabranch init\" first", name));
  if (slot->lost)
    throw refused(fmt::format("replication slot \"{}\" is lost: drop it and run \"anabranch init\" first", name));
  if (!slot->usable) throw refused(slot->problem);
  return *slot;
}

SourceFacts facts_of_free_slot(RealParts& real, uint32_t timeline) {
  const auto deadline = real.clock.now() + slot_free_time_max;
  for (;;) {
    SourceFacts facts = real.source.facts(timeline);
    const SourceSlot& slot = usable_slot(real.settings.slot, facts);
    if (!slot.active_pid) return facts;
    if (real.clock.now() >= deadline)
      throw refused(fmt::format("replication slot \"{}\" is in use by process {}: stop the sidecar first",
                                real.settings.slot, *slot.active_pid));
    real.clock.sleep(200ms);
  }
}

void fence_former(const RealParts& real, const Progress& before) {
  KafkaAccess former = real.access;
  former.transactional_id =
      transactional_id(real.settings.prefix, real.settings.source, before.system_identifier, before.instance);
  if (former.transactional_id != real.access.transactional_id) make_rdkafka_producers(former)->make()->init();
}

struct Found {
  StartupDecision decision;
  SourceFacts source;
};

Found decide_with_our_names(RealParts& real, const TopicNames& names, StoredProgress stored) {
  if (stored.progress) {
    stored.progress->slot = real.settings.slot;
    stored.progress->instance = real.settings.instance;
  }
  const uint32_t timeline = stored.progress ? stored.progress->timeline : 0;
  StartupFacts found = facts_of_topics(std::move(stored), *real.topics, names);
  found.source = facts_of_free_slot(real, timeline);
  found.slot = real.settings.slot;
  found.instance = real.settings.instance;
  StartupDecision decision = decide_startup(found);
  return {std::move(decision), std::move(found.source)};
}

std::string fresh_witness(RealParts& real, const Witnesses& ours, const std::string& recorded) {
  const auto fresh = real.source.renew_witness(ours.have(recorded) ? recorded : ours.recorded, ours.fresh);
  if (!fresh)
    throw refused("another process has just published from this database, or adopted it: stop it, then run this again");
  return *fresh;
}

// What topics were to end at is forgotten with what they have lost.
void lower_to_ends(std::vector<TopicPosition>& positions, TopicAdmin& topics) {
  for (TopicPosition& position : positions) {
    const auto ends = topics.ends(position.topic, false);
    for (size_t i = 0; i < position.next_offsets.size(); ++i)
      position.next_offsets[i] = ends && i < ends->size() ? std::min((*ends)[i], position.next_offsets[i]) : int64_t{0};
  }
}

// Rows that were read before a gap are not what the table held after it.
void void_content(Batch& batch, const std::string& source, std::vector<ContentProgress> content) {
  for (ContentProgress& progress : content) {
    if (progress.state == ContentProgress::State::done && progress.request == 0)
      progress.state = ContentProgress::State::stale;
    progress.next_key.reset();
    progress.rows = progress.rows_read = progress.shape = 0;
    batch.write_content(content_key(source, progress), write_content_progress(progress));
  }
}

std::string take_over(RealParts& real) {
  const PublisherSettings& settings = real.settings;
  const TopicNames names(settings.prefix);
  const Lsn confirmed = facts_of_free_slot(real, 0).slot->confirmed;
  const StoredProgress before = real.progress->read(settings.source, ProgressStore::Reach::readable);
  if (!before.other_sources.empty())
    throw refused(fmt::format("source \"{}\" publishes under the prefix \"{}\": choose another",
                              before.other_sources.front(), settings.prefix));
  if (!before.progress && !real.facts.published_before)
    return fmt::format("nothing was published under the prefix \"{}\" yet: \"anabranch run\" begins at {}",
                       settings.prefix, confirmed.to_string());

  if (before.progress) fence_former(real, *before.progress);
  std::optional<Batch> batch;  // before the producer: what is on its way points into it
  const auto producer = real.producers->make();
  producer->init();
  StoredProgress stored = real.progress->read(settings.source, ProgressStore::Reach::all);
  Progress start = stored.progress.value_or(Progress{});
  const Lsn published = start.lsn;

  const Found found = decide_with_our_names(real, names, stored);
  const std::optional<Adoption> adoption = decide_adoption(found.decision, found.source.slot->confirmed, published);
  if (!adoption) throw refused(found.decision.message);
  const auto [complete, from] = *adoption;

  if (start.system_identifier != real.facts.system_identifier || from < published)
    start.adopted_from = start.system_identifier;
  start.cluster_id = real.topics->cluster_id();
  start.run_id = random_run_id();
  start.system_identifier = real.facts.system_identifier;
  start.timeline = real.facts.timeline;
  start.slot = settings.slot;
  start.instance = settings.instance;
  start.version = ANABRANCH_VERSION;
  start.witness = fresh_witness(real, found.source.witnesses, start.witness);
  failpoint("adopt_witness_renewed");
  // Whoever adopts takes tables as they are numbered now.
  for (TopicPosition& position : stored.topics) position.numbering = {};
  if (!complete) {
    start.part_end_lsn = Lsn();
    start.parts = 0;
    start.records = 0;
    start.crc = 0;
    start.transaction_offset = -1;
    lower_to_ends(stored.topics, *real.topics);
  }
  batch.emplace(settings, names, real.parts(), *producer, stored, start);
  if (!complete) batch->take_position(from, true);
  batch->write_topic_positions_of(stored.topics);
  if (!complete) void_content(*batch, settings.source, stored.content);
  batch->commit();

  PublisherReport report;
  report.state = "stopped";
  report.lsn = batch->committed().lsn;
  report.cluster_id = start.cluster_id;
  real.source.report(report);
  if (complete)
    return fmt::format(
        "the topics under \"{}\" are this server's now, and nothing is missing: publishing goes on at {}",
        settings.prefix, published.to_string());
  return fmt::format(
      "the topics under \"{}\" are this server's now: publishing goes on at {}. What was written after {} and before "
      "that is not in the topics; the topic of transactions says so, and copies that read it become stale",
      settings.prefix, from.to_string(), published.valid() ? published.to_string() : std::string("their beginning"));
}

}  // namespace

std::string adopt(const RunSettings& settings) {
  const Stop never;
  try {
    RealParts real(settings, "anabranch adopt", never);
    return take_over(real);
  } catch (...) {
    throw_as_run_error();
  }
}

}  // namespace anabranch
