#include "sidecar/cli/check_kafka.hpp"

#include <algorithm>
#include <chrono>
#include <map>

#include <fmt/format.h>

#include "sidecar/cli/names.hpp"
#include "sidecar/cli/run_command.hpp"
#include "sidecar/cli/units.hpp"
#include "sidecar/home.hpp"
#include "sidecar/kafka/client.hpp"
#include "sidecar/log/change_log.hpp"
#include "sidecar/publish/pg_source.hpp"
#include "sidecar/publish/publisher.hpp"
#include "sidecar/publish/rdkafka.hpp"
#include "sidecar/publish/startup_facts.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto patience = 10s;  // for one answer of the brokers

struct OutOfTime : std::exception {};

// Lets a wait for the brokers end.
void be_patient(KafkaAccess& access) {
  const auto deadline = Clock::now() + patience;
  access.while_waiting = [deadline] {
    if (Clock::now() >= deadline) throw OutOfTime();
  };
}

Finding refused(std::string subject, const std::string& text) {
  return {Severity::critical, std::move(subject), printable(text), {}};
}

// True: they answer, so that more can be asked.
bool examine_brokers(const KafkaAccess& access, std::vector<Finding>& findings) {
  const std::string brokers = printable(access.properties.at("bootstrap.servers"));
  KafkaClientOptions options;
  options.properties = access.properties;
  options.ours = {{"client.id", "anabranch-check"}};
  KafkaClient client(std::move(options));
  const auto deadline = Clock::now() + patience;
  for (;;) {
    try {
      const std::string cluster = client.cluster_id(1s);
      findings.push_back({Severity::ok, "brokers", fmt::format("{} answer; cluster {}", brokers, cluster), {}});
      return true;
    } catch (const KafkaError& error) {
      const ProducerError verdict = producer_error(error);
      if (verdict.kind() == ProducerError::Kind::refused) {
        findings.push_back(refused("brokers", verdict.what()));
        return false;
      }
      if (Clock::now() < deadline) continue;
      findings.push_back({Severity::critical, "brokers",
                          fmt::format("{} do not answer: {}", brokers, printable(error.what())),
                          "start them, or correct kafka.brokers; a broker that wants TLS or a password answers nobody "
                          "who does not offer it (security.protocol in [kafka.properties])"});
      return false;
    }
  }
}

void examine_transactions(KafkaAccess access, const std::string& prefix, std::vector<Finding>& findings) {
  access.transactional_id = fmt::format("anabranch-{}-check", prefix);
  be_patient(access);
  try {
    make_rdkafka_producers(access)->make()->init();
    findings.push_back({Severity::ok, "transactions", "may be written", {}});
  } catch (const ProducerError& error) {
    findings.push_back(refused("transactions", error.what()));
  } catch (const OutOfTime&) {
    findings.push_back({Severity::critical, "transactions",
                        fmt::format("no broker coordinates them within {} s", patience / 1s),
                        "look at the brokers: topic __transaction_state needs transaction.state.log.replication.factor "
                        "of them, and transaction.state.log.min.isr of these in step"});
  }
}

// What the progress says, and what a start would decide.
void examine_start(const Settings& settings, KafkaAccess access, std::vector<Finding>& findings) {
  const RunSettings run = run_settings_of(settings);
  const TopicNames names(run.kafka->prefix);
  be_patient(access);
  const auto topics = make_rdkafka_topics(access, run.kafka->topics);
  const auto store = make_rdkafka_progress(access, *topics, names.progress());
  ConnectOptions options = home_options(run);
  options.application_name = "anabranch check";
  PgSource source(options, run.slot, run.source, names.prefix());
  try {
    StartupFacts facts = facts_of_topics(store->read(run.source, ProgressStore::Reach::readable), *topics, names);
    facts.slot = run.slot;
    facts.instance = run.kafka->instance;
    facts.source = source.facts(facts.stored.progress ? facts.stored.progress->timeline : 0);
    StartupDecision decision = decide_startup(facts);
    while (!still_stands(decision, facts.stored, *store, run.source)) {
      facts.stored = store->read(run.source, ProgressStore::Reach::readable);
      facts.source = source.facts(facts.stored.progress ? facts.stored.progress->timeline : 0);
      decision = decide_startup(facts);
    }
    if (decision.kind == StartupDecision::Kind::stop) {
      findings.push_back(
          refused("publishing", fmt::format("stops ({}): {}", reason_name(decision.reason), decision.message)));
    } else if (!facts.stored.progress) {
      findings.push_back({Severity::ok, "publishing", "has not begun", {}});
    } else {
      const int64_t lag = facts.source.flushed > facts.stored.progress->lsn
                              ? static_cast<int64_t>(facts.source.flushed.value() - facts.stored.progress->lsn.value())
                              : 0;
      findings.push_back({Severity::ok,
                          "publishing",
                          fmt::format("the topics \"{}.*\" reach to {}, {} of WAL behind the server", names.prefix(),
                                      facts.stored.progress->lsn.to_string(), format_bytes(lag)),
                          {}});
    }
  } catch (const ProducerError& error) {
    findings.push_back(refused("publishing", error.what()));
  } catch (const PublishStopped& stopped) {
    findings.push_back(refused("publishing", fmt::format("stops ({}): {}", stopped.reason(), stopped.what())));
  } catch (const OutOfTime&) {
    findings.push_back(
        {Severity::critical, "publishing",
         fmt::format("the brokers do not answer for the topics \"{}.*\" within {} s", names.prefix(), patience / 1s),
         "look at the brokers"});
  }
}

// The tables that are published: whether their records can have a key, and whether each has a topic of its own.
void examine_tables(const Settings& settings, Connection& connection, KafkaAccess access,
                    std::vector<Finding>& findings) {
  const Result tables = connection.exec(
      "SELECT t.schemaname, t.tablename, EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid "
      "  AND (i.indisprimary OR i.indisreplident AND c.relreplident = 'i'))"
      " FROM pg_catalog.pg_publication_tables AS t JOIN pg_catalog.pg_namespace AS n ON n.nspname = t.schemaname"
      " JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.tablename"
      " WHERE t.pubname = $1::text AND t.schemaname <> 'anabranch' ORDER BY 1, 2",
      Parameters().text(settings.publication));
  const TopicNames names(topic_prefix_of(settings));
  be_patient(access);
  const auto admin = make_rdkafka_topics(access, settings.kafka.topics);
  std::map<std::string, std::pair<std::string, std::string>> topics;  // topic and table, by what Kafka tells apart
  std::vector<std::string> missing;
  bool asked = true;
  for (size_t row = 0; row < tables.rows(); ++row) {
    const std::string schema(tables.text(row, 0)), name(tables.text(row, 1));
    Relation relation;  // quoted as the publisher quotes
    relation.schema = schema;
    relation.name = name;
    const std::string quoted = relation.qualified_name();
    const std::string table = printable(quoted);
    if (!tables.boolean(row, 2) && !settings.kafka.keyless_full_row && schema != stream_schema)
      findings.push_back({Severity::critical, fmt::format("table {}", table),
                          "has neither a primary key nor a replica identity that its records could be keyed by",
                          "give it a primary key, take it out of the publication, or set kafka.keyless_tables = "
                          "\"full_row\" to key it by all of its columns"});
    const std::string topic = topic_of_table(names, settings.kafka.table_topics, schema, name, quoted);
    // To Kafka, "." and "_" in names are one.
    std::string alike = topic;
    std::replace(alike.begin(), alike.end(), '.', '_');
    if (const auto [other, is_new] = topics.emplace(alike, std::pair(topic, table)); !is_new) {
      const auto& [its_topic, its_table] = other->second;
      findings.push_back(
          {Severity::critical, fmt::format("table {}", table),
           its_topic == topic
               ? fmt::format("would share the topic \"{}\" with table {}", topic, its_table)
               : fmt::format("would have the topic \"{}\", and table {} \"{}\": Kafka takes . and _ for one", topic,
                             its_table, its_topic),
           fmt::format("choose one for either of them: [kafka.table.'{}'] topic = \"NAME\"", table)});
      continue;
    }
    if (!asked) continue;
    try {
      if (!admin->find(topic)) missing.push_back(topic);
    } catch (const ProducerError& error) {
      findings.push_back(refused(fmt::format("topic \"{}\"", topic), error.what()));
      asked = false;
    } catch (const OutOfTime&) {
      asked = false;
    }
  }
  if (!asked) return;
  if (!missing.empty() && !settings.kafka.topics.create)
    findings.push_back({Severity::critical, "topics",
                        fmt::format("missing: {}; kafka.create_topics is false", fmt::join(missing, ", ")),
                        "create them; run says with which settings"});
  else
    findings.push_back({Severity::ok,
                        "topics",
                        fmt::format("{} of {} published there{}", topics.size() - missing.size(),
                                    format_count(static_cast<int64_t>(topics.size()), "table"),
                                    missing.empty() ? "" : "; the others are made with their first records"),
                        {}});
}

}  // namespace

std::vector<Finding> examine_kafka(const Settings& settings, Connection& connection) {
  std::vector<Finding> findings;
  KafkaAccess access;
  access.properties = settings.kafka.properties;
  try {
    if (!examine_brokers(access, findings)) return findings;
    examine_transactions(access, topic_prefix_of(settings), findings);
    examine_tables(settings, connection, access, findings);
    examine_start(settings, access, findings);
  } catch (const KafkaPropertyError& error) {
    findings.push_back({Severity::critical, fmt::format("[kafka.properties] {}", printable(error.property())),
                        printable(error.problem()), printable(error.remedy())});
  } catch (const KafkaError& error) {
    findings.push_back(refused("kafka", fmt::format("its client cannot be made: {}", error.what())));
  }
  return findings;
}

}  // namespace anabranch
