#include "sidecar/index/redis_error.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "sidecar/index/engine_reason.hpp"

namespace anabranch {
namespace {

using Kind = IndexError::Kind;

constexpr std::size_t shown_bytes_max = 300;  // of an answer, in a message

// The first whose text an answer begins with says what it means.
struct Meaning {
  std::string_view beginning;
  Kind kind;
  std::string_view remedy;
};

constexpr std::string_view permissions =
    "ACL SETUSER ... +@connection +info +hscan +hmget +fcall +function|list +function|load +@transaction, what the "
    "functions call "
    "(docs/indexes.md lists it), and ~anabranch:* and the patterns of the documents' keys";

constexpr std::array meanings = {
    Meaning{"LOADING", Kind::unreachable, "wait until Redis has read its data set"},
    Meaning{"MASTERDOWN", Kind::unreachable, "wait for its primary, or name that one"},
    // Of ours; opening makes what is missing.
    Meaning{"RENEWED", Kind::unreachable, "the index is opened anew"},
    Meaning{"ERR Function not found", Kind::unreachable, "the index is opened anew, which loads the functions"},
    Meaning{"ERR max number of clients reached", Kind::busy, "raise Redis's maxclients, or end clients of others"},
    Meaning{"OOM", Kind::busy, "raise Redis's maxmemory, or remove other keys"},
    Meaning{"BUSY", Kind::busy, "wait until the script of somebody else ends, or SCRIPT KILL"},
    Meaning{"TRYAGAIN", Kind::busy, "wait until the cluster has moved the slot"},
    Meaning{"ASK", Kind::busy, "wait until the cluster has moved the slot"},
    Meaning{"CLUSTERDOWN", Kind::busy, "wait until the cluster serves all slots again"},
    Meaning{"MISCONF", Kind::busy, "make room on Redis's disk: it cannot save what it is told"},
    Meaning{"NOREPLICAS", Kind::busy, "bring Redis's replicas back, or lower min-replicas-to-write"},
    Meaning{"WRONGPASS", Kind::refused, "correct user and password_file"},
    Meaning{"NOAUTH", Kind::refused, "set password_file, and user where Redis has several"},
    Meaning{"NOPERM", Kind::refused, permissions},
    Meaning{"READONLY", Kind::refused, "name the primary: a replica takes no writes"},
    Meaning{"CROSSSLOT", Kind::refused,
            "in a cluster, give the index the option slot and begin its key pattern with the same {tag}"},
    Meaning{"MOVED", Kind::refused, "name the node of the cluster that serves the slot"},
    Meaning{"ERR Protocol error: invalid bulk length", Kind::refused,
            "raise Redis's proto-max-bulk-len to its usual 512 MB"},
    Meaning{"ERR unknown command", Kind::refused, "use Redis 7 or later: it needs functions"},
    Meaning{"ERR unknown subcommand", Kind::refused, "use Redis 7 or later: it needs functions"},
    Meaning{"ERR DB index is out of range", Kind::refused, "name a database that Redis has (its setting databases)"},
    Meaning{"ERR SELECT is not allowed in cluster mode", Kind::refused, "a cluster has database 0 only"},
    // Of ours.
    Meaning{"FENCED", Kind::refused, "end this sidecar, or the other one: an index has one writer"},
    Meaning{"OWNED", Kind::refused,
            "give the index another name with the option index, or delete the one that is there"},
    Meaning{"LATER", Kind::refused,
            "rebuild the index until its generation is a later one, give it another name with the option index, or "
            "delete the one that is there"},
};
constexpr Meaning unknown = {"", Kind::refused, "see what Redis says, and its log"};

// In one line, without what was sent: "unknown command 'AUTH', with args beginning with: ...".
std::string line_of(std::string_view answer) {
  return one_line(answer.substr(0, answer.find(", with args")), shown_bytes_max);
}

}  // namespace

IndexError redis_error(std::string_view answer, const std::string& where) {
  // Of a transaction that was not carried out when it was to be: what follows is the reason.
  constexpr std::string_view discarded = "EXECABORT Transaction discarded because of: ";
  if (answer.starts_with(discarded)) answer.remove_prefix(discarded.size());
  const auto* const found = std::find_if(meanings.begin(), meanings.end(),
                                         [&](const Meaning& known) { return answer.starts_with(known.beginning); });
  const auto& meaning = found == meanings.end() ? unknown : *found;
  return {meaning.kind, fmt::format("Redis at {} answers \"{}\"", where, line_of(answer)), std::string(meaning.remedy)};
}

}  // namespace anabranch
