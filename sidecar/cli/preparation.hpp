// What a server needs before a sidecar can run on it, as steps: which are done, which can be done by statements, which
// only a person can do. Pure: from facts to steps, so that init, its script and the tests agree.
#pragma once

#include <string>
#include <vector>

#include "sidecar/cli/command_line.hpp"
#include "sidecar/cli/server_facts.hpp"

namespace anabranch {

struct Step {
  enum class State {
    fine,     // nothing to do
    doable,   // `statements` do it
    remains,  // `remedy` says who has to do what
    advice,   // runs without it; `remedy` says what would be better
  };
  State state = State::fine;
  std::string subject;
  std::string text;                     // what is the case
  std::vector<std::string> statements;  // each on its own, outside a transaction
  std::string done;                     // what is the case once they have run
  std::string remedy;
  std::vector<std::string> needs;  // subjects that must be fine or done before
  bool restart = false;            // once the statements have run, the server still has to be restarted
};

// The steps in the order they are to be done.
std::vector<Step> plan_preparation(const ServerFacts& facts, const Settings& settings, const InitOptions& options);

// Servers from here on know slots that go over to a standby.
constexpr int failover_slots_version = 170000;
// From here on UPDATE and DELETE fail on a table with REPLICA IDENTITY FULL whose stored generated columns the
// publication leaves out.
constexpr int generated_columns_version = 180000;

// The statements, one by one, for those who put them together differently. Names are quoted.
namespace statements {
std::string create_publication(const std::string& publication, int server_version);
std::string comment_on_publication(const std::string& publication);
std::string create_slot(const std::string& slot, int server_version);
std::string create_origin(const std::string& slot);
std::string grant_origin_functions();
std::string create_role(const std::string& role);
std::string let_role_replicate(const std::string& role);
std::string grant_sidecar(const std::string& role);
std::string grant_connect(const std::string& database, const std::string& role);
// The list must be as the server writes lists: quoting it as a whole would make it one name.
std::string set_plugin_list(const std::string& list);
}  // namespace statements

}  // namespace anabranch
