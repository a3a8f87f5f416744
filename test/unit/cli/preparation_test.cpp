// What init does, for servers in every state.
#include "sidecar/cli/preparation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sidecar/cli/init.hpp"

namespace anabranch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// A server where everything has been done.
ServerFacts ready_server() {
  ServerFacts facts;
  facts.version = 150020;
  facts.version_text = "15.20";
  facts.database = "shop";
  facts.user = "postgres";
  facts.superuser = true;
  facts.wal_level = "logical";
  facts.slots = {10, 1, false};
  facts.senders = {10, 1, false};
  facts.slot_wal_keep_bytes = int64_t{40} << 30;
  facts.knows_plugin_list = true;
  facts.plugin_list = "pgoutput, test_decoding, anabranch_decoder";
  facts.config_file = "/etc/postgresql/15/main/postgresql.conf";
  facts.extension_available = ANABRANCH_VERSION;
  facts.extension_installed = ANABRANCH_VERSION;
  facts.publication = PublicationFacts{"postgres", true, true, true, true, 1};
  SlotFacts slot;
  slot.name = "anabranch_shop";
  slot.plugin = "anabranch_decoder";
  slot.database = "shop";
  slot.wal_status = "reserved";
  facts.our_slots = {slot};
  facts.our_origins = {"anabranch_shop"};
  facts.origin_functions_granted = true;
  return facts;
}

Step step_about(const std::string& subject, const ServerFacts& facts, const InitOptions& options = {},
                const Settings& settings = {}) {
  for (auto& step : plan_preparation(facts, settings, options))
    if (step.subject == subject) return step;
  ADD_FAILURE() << "no step about " << subject;
  return {};
}

TEST(Preparation, AReadyServerNeedsNothing) {
  for (const auto& step : plan_preparation(ready_server(), {}, {})) {
    EXPECT_EQ(step.state, Step::State::fine) << step.subject << " " << step.text;
    EXPECT_THAT(step.statements, IsEmpty());
  }
}

TEST(Preparation, ANewDatabaseGetsEverything) {
  auto facts = ready_server();
  facts.extension_installed.clear();
  facts.publication.reset();
  facts.our_slots.clear();
  facts.our_origins.clear();
  facts.origin_functions_granted = false;
  EXPECT_THAT(step_about("extension", facts).statements, ElementsAre("CREATE EXTENSION anabranch"));
  EXPECT_THAT(step_about("publication", facts).statements[0],
              "CREATE PUBLICATION \"anabranch\" FOR TABLE anabranch.ddl WITH (publish_via_partition_root = true)");
  EXPECT_THAT(step_about("slot", facts).statements,
              ElementsAre("SELECT pg_catalog.pg_create_logical_replication_slot('anabranch_shop', 'anabranch_decoder', "
                          "false, false)"));
  facts.version = 170000;
  EXPECT_THAT(step_about("slot", facts).statements,
              ElementsAre("SELECT pg_catalog.pg_create_logical_replication_slot('anabranch_shop', 'anabranch_decoder', "
                          "false, false, true)"));
  facts.version = 150020;
  EXPECT_EQ(step_about("replication origin", facts).state, Step::State::doable);
  EXPECT_EQ(step_about("anabranch_sidecar", facts).state, Step::State::doable);
}

TEST(Preparation, SettingsAreOnlyChangedWithApply) {
  auto facts = ready_server();
  facts.wal_level = "replica";
  facts.slots = {1, 1, false};
  facts.our_slots.clear();
  facts.plugin_list = "pgoutput, test_decoding";
  for (const char* subject : {"wal_level", "max_replication_slots", "output_plugin_libraries"}) {
    const auto step = step_about(subject, facts);
    EXPECT_EQ(step.state, Step::State::remains) << subject;
    EXPECT_THAT(step.statements, IsEmpty()) << subject;
    EXPECT_THAT(step.remedy, HasSubstr("--apply")) << subject;
    EXPECT_THAT(step.remedy, HasSubstr("/etc/postgresql/15/main/postgresql.conf")) << subject;
  }
  const InitOptions apply{true, false, {}};
  EXPECT_THAT(step_about("wal_level", facts, apply).statements, ElementsAre("ALTER SYSTEM SET wal_level = logical"));
  EXPECT_TRUE(step_about("wal_level", facts, apply).restart);
  EXPECT_THAT(step_about("max_replication_slots", facts, apply).statements,
              ElementsAre("ALTER SYSTEM SET max_replication_slots = 5"));
  // Unquoted: in quotes it would be stored as one name, and every plugin be refused.
  EXPECT_THAT(step_about("output_plugin_libraries", facts, apply).statements[0],
              "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, anabranch_decoder");
  facts.wal_level_pending_restart = true;
  EXPECT_THAT(step_about("wal_level", facts, apply).statements, IsEmpty());
  EXPECT_THAT(step_about("wal_level", facts, apply).remedy, HasSubstr("restart"));
}

TEST(Preparation, FewFreeSlotsAreOnlyANote) {
  auto facts = ready_server();
  facts.slots = {2, 1, false};
  EXPECT_EQ(step_about("max_replication_slots", facts).state, Step::State::advice);
}

TEST(Preparation, TheListOfPluginsIsReadAsTheServerReadsIt) {
  EXPECT_THAT(parse_plugin_list("pgoutput, test_decoding"), ElementsAre("pgoutput", "test_decoding"));
  EXPECT_THAT(parse_plugin_list(" \"My \"\"plugin\", b ,"), ElementsAre("My \"plugin", "b"));
  EXPECT_THAT(parse_plugin_list(""), IsEmpty());
  EXPECT_FALSE(is_quoted_as_one("pgoutput, test_decoding"));
  EXPECT_TRUE(is_quoted_as_one("\"pgoutput, test_decoding\""));
  EXPECT_EQ(plugin_list_with_decoder("\"pgoutput, test_decoding\", pgoutput"),
            "pgoutput, test_decoding, anabranch_decoder");
  EXPECT_EQ(plugin_list_with_decoder("\"My-Plugin\""), "\"My-Plugin\", anabranch_decoder");
  EXPECT_EQ(plugin_list_with_decoder(""), "anabranch_decoder");
}

TEST(Preparation, AListStoredAsOneNameIsTakenApart) {
  auto facts = ready_server();
  facts.plugin_list = "\"pgoutput, test_decoding, anabranch_decoder\"";
  facts.plugin_list_file = "/data/postgresql.auto.conf";
  const auto step = step_about("output_plugin_libraries", facts);
  EXPECT_THAT(step.text, HasSubstr("one name in quotes"));
  // postgresql.conf is overridden there.
  EXPECT_THAT(step.remedy, HasSubstr("unquoted: ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, "
                                     "anabranch_decoder;"));
}

TEST(Preparation, ServersThatCannotServe) {
  auto facts = ready_server();
  facts.version = 140020;
  facts.version_text = "14.20";
  const auto steps = plan_preparation(facts, {}, {});
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_THAT(steps[0].remedy, HasSubstr("PostgreSQL 15"));
  facts = ready_server();
  facts.in_recovery = true;
  bool told = false;
  for (const auto& step : plan_preparation(facts, {}, {})) told |= step.remedy.find("primary") != std::string::npos;
  EXPECT_TRUE(told);
  facts = ready_server();
  facts.knows_plugin_list = false;
  facts.plugin_list.reset();
  EXPECT_EQ(step_about("output_plugin_libraries", facts).state, Step::State::fine);
}

TEST(Preparation, VersionsMustMeet) {
  auto facts = ready_server();
  facts.extension_installed = "0.0.9";
  EXPECT_THAT(step_about("extension", facts).statements[0], HasSubstr("UPDATE TO"));
  facts.extension_available = "0.0.9";
  EXPECT_EQ(step_about("extension", facts).state, Step::State::remains);
  EXPECT_THAT(step_about("extension", facts).remedy, HasSubstr("make install"));
  facts.extension_available.clear();
  facts.extension_installed.clear();
  EXPECT_THAT(step_about("extension", facts).text, HasSubstr("not installed"));
}

// Where whole old rows are written, and the publication leaves such a column out, UPDATE and DELETE fail from 18 on.
TEST(Preparation, StoredGeneratedColumnsArePublishedWhereTheServerAsksForThem) {
  auto facts = ready_server();
  EXPECT_EQ(step_about("publication", facts).state, Step::State::fine);
  facts.publication->generated_columns = false;
  EXPECT_THAT(step_about("publication", facts).statements,
              ElementsAre("ALTER PUBLICATION \"anabranch\" SET (publish_generated_columns = stored)"));
  facts.publication.reset();
  facts.version = 180006;
  EXPECT_THAT(step_about("publication", facts).statements[0], HasSubstr(", publish_generated_columns = stored)"));
}

TEST(Preparation, OthersPublicationsAndSlotsAreLeftAlone) {
  auto facts = ready_server();
  facts.publication = PublicationFacts{"app", false, true, false, false, 7};
  EXPECT_EQ(step_about("publication", facts).state, Step::State::remains);
  EXPECT_THAT(step_about("publication", facts).remedy, HasSubstr("ADD TABLE anabranch.ddl;\nALTER PUBLICATION"));
  facts.publication->ours = true;
  EXPECT_EQ(step_about("publication", facts).state, Step::State::doable);

  facts = ready_server();
  facts.our_slots[0].plugin = "pgoutput";
  EXPECT_EQ(step_about("slot", facts).state, Step::State::remains);
  EXPECT_THAT(step_about("slot", facts).text, HasSubstr("pgoutput"));
  facts.our_slots[0].plugin.clear();
  EXPECT_THAT(step_about("slot", facts).text, HasSubstr("physical"));
  facts = ready_server();
  facts.our_slots[0].wal_status = "lost";
  EXPECT_THAT(step_about("slot", facts).remedy, HasSubstr("pg_drop_replication_slot('anabranch_shop')"));
  facts = ready_server();
  facts.our_slots[0].two_phase = true;
  EXPECT_EQ(step_about("slot", facts).state, Step::State::remains);
}

TEST(Preparation, RolesGetWhatTheyLack) {
  auto facts = ready_server();
  const InitOptions options{false, false, "it's \"me\""};
  const auto made = step_about("role \"it's \"me\"\"", facts, options);
  EXPECT_THAT(made.statements, ElementsAre("CREATE ROLE \"it's \"\"me\"\"\" LOGIN REPLICATION",
                                           "GRANT anabranch_sidecar TO \"it's \"\"me\"\"\"",
                                           "GRANT CONNECT ON DATABASE \"shop\" TO \"it's \"\"me\"\"\""));
  facts.role = RoleFacts{true, true, false, true};
  EXPECT_THAT(step_about("role \"it's \"me\"\"", facts, options).statements,
              ElementsAre("GRANT anabranch_sidecar TO \"it's \"\"me\"\"\""));
  facts.role = RoleFacts{true, true, true, true};
  EXPECT_EQ(step_about("role \"it's \"me\"\"", facts, options).state, Step::State::fine);
  EXPECT_THAT(step_about("pg_hba.conf", facts, options).remedy, HasSubstr("scram-sha-256"));
}

TEST(InitScript, NamesCannotBreakOut) {
  Settings settings;
  settings.home = {{"dbname", "a$$b$body_1$'\"\n; DROP TABLE x; \\! id"}};
  settings.publication = "p'\"\\";
  const auto script = init_script(settings, {false, true, "r'\"\n\\q"});
  EXPECT_THAT(script, Not(HasSubstr("DO $$\nBEGIN\n  IF current_database()")));
  EXPECT_THAT(script, HasSubstr("$body_2$"));
  // In comments a line break would end the comment.
  for (size_t at = script.find("-- "); at != std::string::npos; at = script.find("\n-- ", at + 1))
    EXPECT_EQ(script.substr(at, script.find('\n', at + 1) - at).find("DROP TABLE x; \\! id\n"), std::string::npos);
  EXPECT_THAT(script, Not(HasSubstr("ALTER SYSTEM")));
  EXPECT_THAT(init_script(settings, {true, true, ""}), HasSubstr("ALTER SYSTEM SET wal_level = logical"));
}

}  // namespace
}  // namespace anabranch
