// Method:
//   1. Every copy that is named, or that the role may control, is asked to be verified, each by itself: what keeps one
//      from it keeps no other.
//   2. With --wait the runs are looked at again and again. One that has ended is reported at once; those that have not
//      are a line each below, rewritten in place on a terminal. A session that breaks is made anew: the sidecar does
//      the work, not this.
#include "sidecar/cli/verify.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sidecar/cli/diagnose.hpp"
#include "sidecar/cli/names.hpp"
#include "sidecar/cli/stop_signals.hpp"
#include "sidecar/cli/units.hpp"
#include "sidecar/cli/verify_screen.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto look_interval = 200ms;
constexpr auto line_interval = 5s;  // where lines are not rewritten
constexpr auto response_max = 30s;
constexpr auto reconnect_delay = 1s;
constexpr auto reconnect_time_max = 5min;
constexpr std::size_t differences_shown_max = 10;
constexpr std::size_t lines_max = 10;  // of runs that have not ended, where a screen does not say how many fit

std::string remedy_for(const PgError& error) {
  const auto& code = error.sqlstate();
  const bool of_ours = error.message().find("\"anabranch\"") != std::string::npos ||
                       error.message().find("anabranch.") != std::string::npos;
  if (of_ours && (code == "3F000" || code == "42883" || code == "42P01"))
    return "anabranch init, or in the database: CREATE EXTENSION anabranch; ALTER EXTENSION anabranch UPDATE";
  if (code == "42P01" || code == "3F000" || code == "42602")
    return "write schema and copy as in SQL, as anabranch status shows them, with double quotes where SQL needs them: "
           "'public.\"Totals\"'";
  if (code == "22P02") return "write --keys as a list in JSON: '[{\"customer\": 7}, {\"customer\": 8}]'";
  if (code == "25006") return "connect to the primary: copies are verified there";
  if (!error.hint().empty()) return printable(error.hint());
  if (code == "42501") return "GRANT anabranch_operator TO this role, or connect as the copy's owner";
  return "anabranch check examines settings and server";
}

struct Asked {
  std::vector<int64_t> runs;
  VerifyExit exit = VerifyExit::equal;  // of what could not be asked for
};

void complain(const std::string& subject, const PgError& error) {
  auto text = printable(error.message());
  if (!error.detail().empty()) text += "; " + printable(error.detail());
  fmt::print(stderr, "{}", format_finding({Severity::critical, subject, text, remedy_for(error)}));
}

// Those that the role may control; what stands beside a copy to take its place is verified by nobody.
std::vector<std::string> all_copies(Connection& connection) {
  const Result found = connection.exec(
      "SELECT c.copy::text FROM anabranch.copies AS c JOIN pg_catalog.pg_class AS v ON v.oid = c.copy"
      " JOIN pg_catalog.pg_namespace AS n ON n.oid = v.relnamespace"
      " WHERE n.nspname <> 'anabranch_data' AND (pg_catalog.pg_has_role(v.relowner, 'USAGE')"
      " OR pg_catalog.pg_has_role('anabranch_operator', 'USAGE')) ORDER BY c.id");
  std::vector<std::string> copies;
  for (std::size_t row = 0; row < found.rows(); ++row) copies.emplace_back(found.text(row, 0));
  return copies;
}

Asked ask(Connection& connection, const VerifyOptions& options) {
  Asked asked;
  const auto copies = options.copies.empty() ? all_copies(connection) : options.copies;
  if (copies.empty()) {
    fmt::print(
        stderr, "{}",
        format_finding({Severity::unknown, "copies", "there is none that this role may control",
                        "SELECT anabranch.create_aggregate_table(...); or: GRANT anabranch_operator TO this role"}));
    asked.exit = VerifyExit::unknown;
  }
  for (const std::string& copy : copies) {
    try {
      const Result run = connection.exec(
          "SELECT anabranch.verify($1::pg_catalog.regclass, $2, $3::pg_catalog.jsonb, $4::pg_catalog.float8,"
          " $5::pg_catalog.bool)",
          Parameters()
              .text(copy)
              .text(options.mode)
              .optional_text(options.keys.empty() ? std::nullopt : std::optional(options.keys))
              .text(fmt::format("{}", options.duty))
              .boolean(options.repair));
      asked.runs.push_back(run.integer(0, 0));
    } catch (const PgError& error) {
      if (error.connection_lost()) throw;
      complain(printable(copy), error);
      // AN002: the copy is in a state in which it has nothing to prove.
      asked.exit = worse(asked.exit, error.sqlstate() == "AN002" ? VerifyExit::unproved : VerifyExit::unknown);
    }
  }
  return asked;
}

std::string list_of(const std::vector<int64_t>& runs) {
  return fmt::format("{}", fmt::join(runs, ", "));
}

std::string how_to_watch(const std::vector<int64_t>& runs) {
  return fmt::format(
      "watch with: SELECT * FROM anabranch.verifications WHERE run IN ({0})\n"
      "end with:   SELECT anabranch.cancel(run) FROM anabranch.verifications WHERE run IN ({0})\n",
      list_of(runs));
}

std::string array_of(const std::vector<int64_t>& runs) {
  return fmt::format("{{{}}}", fmt::join(runs, ","));
}

template <typename Value>
std::optional<Value> number(const Result& result, std::size_t row, std::size_t column) {
  if (result.null(row, column)) return std::nullopt;
  return static_cast<Value>(std::stod(std::string(result.text(row, column))));
}

std::vector<VerifyRun> read_runs(Connection& connection, const std::vector<int64_t>& runs) {
  const Result found = connection.exec(
      "SELECT v.run, v.copy::text, v.state, v.repairs, v.chunks_done, v.chunks_total, v.keys_compared,"
      " v.keys_per_second, extract(epoch FROM v.time_left), v.differing, v.left_over, v.waiting, v.verdict, v.reason"
      " FROM anabranch.verifications AS v WHERE v.run = ANY ($1::bigint[]) ORDER BY v.run",
      Parameters().text(array_of(runs)));
  std::vector<VerifyRun> read;
  for (std::size_t row = 0; row < found.rows(); ++row) {
    VerifyRun run;
    run.run = found.integer(row, 0);
    run.copy = found.text(row, 1);
    run.state = found.text(row, 2);
    run.repairs = found.boolean(row, 3);
    run.chunks_done = number<int64_t>(found, row, 4).value_or(0);
    run.chunks_total = number<int64_t>(found, row, 5).value_or(0);
    run.keys_compared = number<int64_t>(found, row, 6);
    run.keys_per_second = number<double>(found, row, 7);
    run.seconds_left = number<double>(found, row, 8);
    run.differing = number<int64_t>(found, row, 9);
    run.left_over = number<int64_t>(found, row, 10);
    run.waiting = found.text(row, 11);
    run.verdict = found.text(row, 12);
    run.reason = found.text(row, 13);
    read.push_back(std::move(run));
  }
  return read;
}

std::vector<VerifyDifference> read_differences(Connection& connection, int64_t run) {
  const Result found = connection.exec(
      "SELECT d.class, d.key, d.expected, d.actual, d.outcome FROM anabranch.differences AS d WHERE d.run = $1::bigint"
      " LIMIT $2::bigint",
      Parameters().integer(run).integer(differences_shown_max));
  std::vector<VerifyDifference> read;
  for (std::size_t row = 0; row < found.rows(); ++row)
    read.push_back({std::string(found.text(row, 0)), std::string(found.text(row, 1)), std::string(found.text(row, 2)),
                    std::string(found.text(row, 3)), std::string(found.text(row, 4))});
  return read;
}

void print_json(Connection& connection, const std::vector<int64_t>& runs) {
  const Result found = connection.exec(
      "SELECT row_to_json(shown) FROM (SELECT v.*, ARRAY(SELECT row_to_json(one) FROM (SELECT d.class, d.key, "
      "d.expected,"
      " d.actual, d.outcome, d.repaired_at, d.repaired_lsn FROM anabranch.differences AS d WHERE d.run = v.run LIMIT "
      "$2::bigint) AS one) AS differences FROM anabranch.verifications AS v WHERE v.run = ANY ($1::bigint[])) AS shown "
      "ORDER BY shown.run",
      Parameters().text(array_of(runs)).integer(differences_shown_max));
  for (std::size_t row = 0; row < found.rows(); ++row) fmt::print("{}\n", found.text(row, 0));
}

// What is not known is no reason to say that there is none.
bool sidecar_is_absent(Connection& connection) {
  const Result found = connection.exec("SELECT coalesce(bool_or(sidecar_running), false) FROM anabranch.sources");
  return !found.boolean(0, 0);
}

constexpr const char* absence = "no sidecar is running; start one: anabranch run";

// The lines at the end of the output that are written anew with each look.
class Lines {
 public:
  explicit Lines(FILE* file) : file_(file), rewrites_(isatty(fileno(file)) != 0) {}

  void show(const std::vector<VerifyRun>& open) {
    if (!rewrites_ && Clock::now() < next_) return;
    next_ = Clock::now() + line_interval;
    clear();
    winsize size{};
    if (rewrites_ && ioctl(fileno(file_), TIOCGWINSZ, &size) != 0) size = {};
    const std::size_t fit = size.ws_row > 3 ? size.ws_row - 2 : lines_max;
    for (std::size_t i = 0; i < std::min(fit, open.size()); ++i) print(progress_line(open[i]), size.ws_col);
    if (open.size() > fit)
      print(fmt::format("and {}", format_count(static_cast<int64_t>(open.size() - fit), "more run")), size.ws_col);
    std::fflush(file_);
  }

  // Takes them away, for what stays.
  void clear() {
    if (rewrites_ && count_ > 0) fmt::print(file_, "\x1b[{}A\r\x1b[J", count_);
    count_ = 0;
  }

 private:
  FILE* file_;
  bool rewrites_;
  std::size_t count_ = 0;
  Clock::time_point next_ = Clock::now() + look_interval;

  // A line that was broken could not be taken away.
  void print(const std::string& text, std::size_t columns) {
    fmt::print(file_, "{}\n", rewrites_ && columns > 1 ? first_columns(text, columns - 1) : text);
    ++count_;
  }

  static std::string_view first_columns(std::string_view text, std::size_t columns) {
    std::size_t end = 0;
    for (std::size_t used = 0; end < text.size(); ++end)
      if ((text[end] & 0xc0) != 0x80 && ++used > columns) break;
    return text.substr(0, end);
  }
};

class Watch {
 public:
  Watch(const Settings& settings, const VerifyOptions& options, const Stop& stop,
        std::unique_ptr<Connection> connection, std::vector<int64_t> runs)
      : settings_(settings),
        options_(options),
        stop_(stop),
        connection_(std::move(connection)),
        runs_(std::move(runs)),
        lines_(options.json ? stderr : stdout) {}

  VerifyExit until_all_have_ended() {
    try {
      while (!look())
        if (stop_.wait(look_interval)) throw Interrupted();
      if (options_.json) in_session([&] { print_json(*connection_, runs_); });
    } catch (const Interrupted&) {
      lines_.clear();
      const auto left = open_runs();
      if (left.empty()) return exit_;
      fmt::print(stderr, "interrupted; {} on: {}\n{}", left.size() == 1 ? "the run goes" : "the runs go", list_of(left),
                 how_to_watch(left));
      return worse(exit_, VerifyExit::unknown);
    }
    return exit_;
  }

 private:
  const Settings& settings_;
  const VerifyOptions& options_;
  const Stop& stop_;
  std::unique_ptr<Connection> connection_;
  const std::vector<int64_t> runs_;
  std::map<int64_t, VerifyExit> ended_;
  VerifyExit exit_ = VerifyExit::equal;
  Lines lines_;

  std::vector<int64_t> open_runs() const {
    std::vector<int64_t> open;
    for (const int64_t run : runs_)
      if (!ended_.contains(run)) open.push_back(run);
    return open;
  }

  // Whether all have ended.
  bool look() {
    std::vector<VerifyRun> open;
    const auto waited_for = open_runs();
    in_session([&] {
      open = read_runs(*connection_, waited_for);
      for (const int64_t run : waited_for)
        if (std::none_of(open.begin(), open.end(), [run](const VerifyRun& found) { return found.run == run; }))
          lose(run);
      for (const VerifyRun& run : open)
        if (run.ended()) report(run);
      std::erase_if(open, [](const VerifyRun& run) { return run.ended(); });
      if (!open.empty() && sidecar_is_absent(*connection_)) open.front().waiting = absence;
    });
    if (open.empty()) {
      lines_.clear();
      return true;
    }
    // What is being done before what has to wait for it.
    std::stable_partition(open.begin(), open.end(), [](const VerifyRun& run) { return run.state == "running"; });
    lines_.show(open);
    return false;
  }

  void report(const VerifyRun& run) {
    std::vector<VerifyDifference> differences;
    if (!options_.json && run.differing.value_or(0) > 0) differences = read_differences(*connection_, run.run);
    lines_.clear();
    if (!options_.json) fmt::print("{}", verify_report(run, differences));
    std::fflush(stdout);
    end(run.run, exit_of(run));
  }

  // The extension was dropped, or restored from a dump.
  void lose(int64_t run) {
    lines_.clear();
    fmt::print(stderr, "{}",
               format_finding({Severity::unknown, fmt::format("run {}", run), "is known no more", "ask again"}));
    end(run, VerifyExit::unknown);
  }

  void end(int64_t run, VerifyExit exit) {
    ended_[run] = exit;
    exit_ = worse(exit_, exit);
  }

  template <typename Function>
  void in_session(Function function) {
    const auto deadline = Clock::now() + reconnect_time_max;
    for (bool said = false;;) {
      try {
        if (!connection_) {
          auto connect = connect_options(settings_, "anabranch verify");
          connect.stop = &stop_;
          connect.response_timeout = response_max;
          connection_ = std::make_unique<Connection>(connect);
        }
        return function();
      } catch (const PgError& error) {
        const bool lost = !connection_ || error.connection_lost();
        connection_.reset();
        if (!lost || Clock::now() > deadline) {
          lines_.clear();
          if (const auto left = open_runs(); !left.empty())
            fmt::print(stderr, "the runs go on: {}\n{}", list_of(left), how_to_watch(left));
          throw;
        }
        if (!said) {
          lines_.clear();
          fmt::print(stderr, "{}", format_finding(diagnose(error, Attempt::statement, settings_)));
          fmt::print(stderr, "trying again for {}\n", format_duration(reconnect_time_max));
        }
        said = true;
        if (stop_.wait(reconnect_delay)) throw Interrupted();
      }
    }
  }
};

VerifyExit say_how_to_watch(Connection& connection, const VerifyOptions& options, const Asked& asked) {
  if (options.json) {
    print_json(connection, asked.runs);
    return asked.exit;
  }
  for (const VerifyRun& run : read_runs(connection, asked.runs)) fmt::print("{}\n", progress_line(run));
  fmt::print("{}", how_to_watch(asked.runs));
  if (sidecar_is_absent(connection))
    fmt::print("{}", format_finding({Severity::warning, "sidecar",
                                     "is not running; the copies are verified when one is", "anabranch run"}));
  return asked.exit;
}

}  // namespace

int verify(const Settings& settings, const VerifyOptions& options) {
  const Stop& stop = stop_on_signals();
  auto connect = connect_options(settings, "anabranch verify");
  connect.stop = &stop;
  connect.response_timeout = response_max;
  try {
    auto connection = std::make_unique<Connection>(connect);
    const Asked asked = ask(*connection, options);
    if (asked.runs.empty()) return static_cast<int>(asked.exit);
    if (!options.wait) return static_cast<int>(say_how_to_watch(*connection, options, asked));
    const VerifyExit ended = Watch(settings, options, stop, std::move(connection), asked.runs).until_all_have_ended();
    return static_cast<int>(worse(asked.exit, ended));
  } catch (const PgError& error) {
    if (error.connection_lost()) throw;
    complain("verify", error);
  } catch (const Interrupted&) {
    fmt::print(stderr, "interrupted\n");
  }
  return static_cast<int>(VerifyExit::unknown);
}

}  // namespace anabranch
