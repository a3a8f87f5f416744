#include "sidecar/index/redis_index.hpp"

#include <algorithm>
#include <charconv>
#include <deque>
#include <functional>
#include <numeric>
#include <random>
#include <span>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "sidecar/index/index_options.hpp"
#include "sidecar/index/redis_connection.hpp"
#include "sidecar/index/redis_entry.hpp"
#include "sidecar/index/redis_functions.hpp"
#include "sidecar/index/redis_hashes.hpp"
#include "sidecar/index/redis_session.hpp"
#include "sidecar/index/redis_shape.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using Kind = IndexError::Kind;

constexpr std::size_t inspect_documents_max = 500;
constexpr std::size_t inspect_bytes_max = std::size_t{16} << 20;  // of one call's answer, unless one document is larger
constexpr std::string_view scan_documents = "500";                // Redis gives about so many a page

constexpr int64_t first_generation = 1;
constexpr std::string_view scan_end = "0";

std::string random_identity() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

[[noreturn]] void refuse_option(const std::string& problem, const std::string& remedy) {
  throw IndexError(Kind::refused, problem, remedy);
}

// Empty where it is not set.
std::string text_option(const nlohmann::json& options, const char* name) {
  const auto found = options.find(name);
  if (found == options.end()) return {};
  if (!found->is_string()) refuse_option(fmt::format("the option \"{}\" is no text", name), "write it as text");
  return found->get<std::string>();
}

RedisShape shape_option(const nlohmann::json& options) {
  const auto name = text_option(options, "shape");
  const auto shape = parse_redis_shape(name.empty() ? "json" : name);
  if (!shape)
    refuse_option(fmt::format("the option \"shape\" is \"{}\"", name), "choose json, hash, sorted_set or set");
  return *shape;
}

std::string ttl_option(const nlohmann::json& options) {
  const auto found = options.find("ttl");
  if (found == options.end()) return {};
  if (!found->is_number_integer() || found->get<int64_t>() <= 0 || found->get<int64_t>() > INT32_MAX)
    refuse_option("the option \"ttl\" is no number of seconds", "write it as a whole number above 0");
  return std::to_string(found->get<int64_t>());
}

// What the index's own keys begin with.
std::string prefix_option(const IndexDefinition& definition) {
  const auto slot = text_option(definition.options, "slot");
  if (slot.find_first_of("{}") != std::string::npos)
    refuse_option("the option \"slot\" has a brace in it", "write the tag without its braces");
  const auto name = text_option(definition.options, "index");
  return fmt::format("{}anabranch:{}:", slot.empty() ? "" : "{" + slot + "}", name.empty() ? definition.name : name);
}

class RedisIndex : public ExternalIndex {
 public:
  RedisIndex(IndexSettings settings, IndexDefinition definition, const Stop& stop)
      : settings_(std::move(settings)), definition_(std::move(definition)), stop_(stop) {}

  OpenedIndex open(uint64_t token) override {
    understand();
    token_ = redis_number(token);
    connect();
    return with_connection([&](RedisConnection& redis) {
      warn_of_eviction(redis);
      learn_limits(redis);
      auto state = enter(redis);
      if (state.shape != shape_) {
        remove_everything(redis, state.shape);
        state = enter(redis);
      }
      identity_ = state.identity;
      // One before may have had a ttl, which the function "write" ends.
      if (shape_ == RedisShape::hash && ttl_.empty() && definition_.generation == first_generation) {
        // Who may not begin a transaction would write without one.
        redis.ask({"MULTI"});
        redis.ask({"EXEC"});
        hashes_.emplace(RedisHashes::Index{documents_, checkpoint_, identity_, token_, generation_},
                        settings_.bulk_bytes_max, argument_bytes_max_);
      }
      return OpenedIndex{.identity = state.identity,
                         .version = redis_version_in(state.version, generation_).value_or(0),
                         .is_new = state.is_new};
    });
  }

  void write_all(DocumentStream& stream, IndexVersion version) override {
    const auto version_text = generation_ + redis_number(version);
    while (const auto documents = stream.next(true)) stream.finish(write_batch(*documents, version_text));
  }

  void make_visible() override {}
  std::chrono::milliseconds visible_within() const override { return std::chrono::milliseconds(0); }

  std::vector<FoundDocument> inspect(std::span<const Document> expected) override {
    std::vector<FoundDocument> found;
    found.reserve(expected.size());
    std::size_t next = 0;
    const auto make = [&]() -> std::optional<RedisArguments> {
      if (next == expected.size()) return std::nullopt;
      return make_read(expected, next);
    };
    const auto take = [&](const redisReply& reply) {
      for (std::size_t i = 0; i < reply.elements; ++i)
        found.push_back(found_document(*reply.element[i], expected[found.size()]));
    };
    pipeline(make, take);
    return found;
  }

  HeldPage scan(const std::string& after) override {
    return with_connection(
        [&](RedisConnection& redis) { return read_page(redis, after.empty() ? scan_end : after, shape_); });
  }

  std::vector<HeldDocument> extra(const HeldPage& page, std::span<const Document> expected) override {
    std::unordered_map<std::string_view, const Document*> by_key;
    for (const auto& document : expected) by_key.emplace(document.key, &document);
    std::vector<HeldDocument> extra;
    for (const auto& held : page.documents) {
      const auto found = by_key.find(held.key);
      const bool is_expected = found != by_key.end() && found->second->content &&
                               held.target == found->second->target && held.member == found->second->member;
      if (!is_expected) extra.push_back(held);
    }
    return extra;
  }

  bool side_by_side() const override { return false; }
  void publish() override {}

  void drop() override {
    try {
      name_keys();
    } catch (const IndexError&) {
      return;  // no index was ever made with such a name
    }
    if (!connection_) connect();
    with_connection([&](RedisConnection& redis) {
      const auto known = redis.ask({"HMGET", checkpoint_, "owner", "shape"});
      if (text_of(*known->element[0]) != definition_.owner) return;
      remove_everything(redis, known_shape(text_of(*known->element[1])));
    });
  }

 private:
  // What the function "open" tells.
  struct State {
    std::string identity, version;
    RedisShape shape;
    bool is_new;
  };

  void name_keys() {
    const auto prefix = prefix_option(definition_);
    documents_ = prefix + "documents";
    tombstones_ = prefix + "tombstones";
    checkpoint_ = prefix + "checkpoint";
  }

  // Throws IndexError (refused) for options that mean nothing here.
  void understand() {
    refuse_options(definition_, {"mapping", "settings"}, "Redis");
    name_keys();
    shape_ = shape_option(definition_.options);
    ttl_ = ttl_option(definition_.options);
    if (definition_.generation < 0 || definition_.generation > redis_generation_max)
      refuse_option(fmt::format("the generation of the index has more than {} digits", redis_generation_digits),
                    "delete the index and create it again");
    generation_ = redis_generation(definition_.generation);
  }

  // Any failure leaves answers under way, or a server that is not the one that was opened.
  template <typename Work>
  std::invoke_result_t<const Work&, RedisConnection&> with_connection(const Work& work) {
    if (!connection_) throw IndexError(Kind::unreachable, "Redis is not connected", "open the index again");
    try {
      return work(*connection_);
    } catch (...) {
      disconnect();
      throw;
    }
  }

  // A further session with the same server; null where that gives none.
  RedisConnection* second() {
    if (!second_ && !std::exchange(second_tried_, true)) {
      try {
        second_ = connection_->another();
        if (second_->is_replica()) second_.reset();  // its name leads elsewhere by now
      } catch (const IndexError& error) {
        log_debug("redis gives no second session", {{"redis", connection_->where()}, {"error", error.what()}});
      }
    }
    return second_.get();
  }

  void disconnect() {
    connection_.reset();
    second_.reset();
    second_tried_ = false;
  }

  void connect() {
    disconnect();
    connection_ = connect_to_redis(settings_, stop_, [](RedisConnection& redis) {
      if (!has_redis_functions(redis)) redis.ask({"FUNCTION", "LOAD", "REPLACE", redis_functions});
    });
  }

  // Once: a server that is asked again and again would fill the log.
  void warn_of_eviction(RedisConnection& redis) {
    if (std::exchange(warned_, true)) return;
    redis.put({"INFO", "memory"});
    const auto reply = redis.receive();  // who may not ask is not warned
    const auto value = [info = text_of(*reply)](std::string_view name) {
      const auto begin = info.find(name);
      if (begin == std::string_view::npos) return std::string_view();
      const auto rest = info.substr(begin + name.size());
      return rest.substr(0, rest.find('\r'));
    };
    const auto policy = value("\nmaxmemory_policy:");
    if (policy.empty() || policy == "noeviction" || value("\nmaxmemory:") == "0") return;
    log_warning(
        "redis evicts keys when its memory is full; those of an index are then found missing by verification only",
        {{"redis", redis.where()}, {"maxmemory_policy", policy}});
  }

  void learn_limits(RedisConnection& redis) {
    redis.put({"CONFIG", "GET", "proto-max-bulk-len"});
    const auto reply = redis.receive();  // for who may not ask it is the usual one
    argument_bytes_max_ = redis_argument_bytes_max;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) return;
    const std::string_view text = text_of(*reply->element[1]);
    std::from_chars(text.data(), text.data() + text.size(), argument_bytes_max_);
    argument_bytes_max_ = std::min(argument_bytes_max_, redis_argument_bytes_max);  // larger ones could not be compared
  }

  State enter(RedisConnection& redis) {
    auto call = function_call("open", {});
    const std::string proposed = random_identity();
    for (const std::string_view argument : {std::string_view(definition_.owner), std::string_view(proposed),
                                            std::string_view(token_), std::string_view(generation_), name_of(shape_)})
      call.add(argument);
    const auto reply = redis.ask(call);
    const auto identity = text_of(*reply->element[0]);
    return {.identity = std::string(identity),
            .version = std::string(text_of(*reply->element[1])),
            .shape = known_shape(text_of(*reply->element[2])),
            .is_new = identity == proposed};
  }

  // Begins FCALL with keys; the function's arguments are to be added.
  RedisArguments function_call(std::string_view name, std::span<const std::string_view> targets) const {
    RedisArguments call{"FCALL",
                        fmt::format("{}_{}", redis_library, name),
                        std::to_string(3 + targets.size()),
                        documents_,
                        tombstones_,
                        checkpoint_};
    for (const auto target : targets) call.add(target);
    return call;
  }

  // Sends what make() makes until that is nothing, never more than may be under way; take() gets each answer.
  void pipeline(const std::function<std::optional<RedisArguments>()>& make,
                const std::function<void(const redisReply&)>& take) {
    with_connection([&](RedisConnection& redis) {
      const int in_flight_max = std::max(settings_.in_flight_max, 1);
      int in_flight = 0;
      for (bool more = true; more || in_flight > 0;) {
        if (more && in_flight < in_flight_max) {
          const auto call = make();
          more = call.has_value();
          if (more) redis.put(*call);
          if (more) ++in_flight;
        } else {
          take(*redis.receive_checked());
          --in_flight;
        }
      }
    });
  }

  std::vector<RefusedDocument> write_batch(std::span<const Document> documents, std::string_view version) {
    const auto is_there = [](const Document& document) { return document.content.has_value(); };
    std::vector<std::size_t> places;
    if (hashes_ && std::any_of(documents.begin(), documents.end(), is_there)) {
      places = with_connection([&](RedisConnection& redis) {
        return hashes_->set(
            redis, [this] { return second(); }, documents, version);
      });
      if (places.empty()) return {};
    } else {
      places.resize(documents.size());
      std::iota(places.begin(), places.end(), std::size_t{0});
    }
    return call_write(documents, places, version);
  }

  // Calls the function "write" for those of the documents that are at `places`.
  std::vector<RefusedDocument> call_write(std::span<const Document> documents, std::span<const std::size_t> places,
                                          std::string_view version) {
    std::vector<RefusedDocument> refused;
    std::size_t next = 0;
    bool first = true;
    // Of those under way, the places of the documents of each.
    std::deque<std::vector<std::size_t>> batches;
    const auto make = [&]() -> std::optional<RedisArguments> {
      // Without documents there is one too: it raises the version that is known to have been reached.
      if (next == places.size() && !first) return std::nullopt;
      first = false;
      return make_batch(documents, places, version, next, batches.emplace_back(), refused);
    };
    const auto take = [&](const redisReply& reply) {
      for (std::size_t i = 0; i + 1 < reply.elements; i += 2) {
        const auto place = batches.front().at(static_cast<std::size_t>(reply.element[i]->integer) - 1);
        refused.push_back({place, std::string(text_of(*reply.element[i + 1]))});
      }
      batches.pop_front();
    };
    pipeline(make, take);
    return refused;
  }

  // From places[next] on as many as may be in one call; moves `next` behind them. `batch`: the places that are in it.
  RedisArguments make_batch(std::span<const Document> documents, std::span<const std::size_t> places,
                            std::string_view version, std::size_t& next, std::vector<std::size_t>& batch,
                            std::vector<RefusedDocument>& refused) const {
    std::vector<std::string_view> targets;
    RedisArguments contents;
    for (std::size_t bytes = 0; next < places.size() && batch.size() < redis_batch_documents_max; ++next) {
      const auto& document = documents[places[next]];
      bytes += bytes_of(document);
      if (bytes > settings_.bulk_bytes_max && !batch.empty()) break;
      if (const auto reason = add_document(shape_, document, version, argument_bytes_max_, contents)) {
        refused.push_back({places[next], *reason});
        continue;
      }
      targets.push_back(document.target);
      batch.push_back(places[next]);
    }
    auto call = function_call("write", targets);
    call.add(identity_);
    call.add(token_);
    call.add(version);
    call.add(name_of(shape_));
    call.add(ttl_);
    call.add(contents);
    return call;
  }

  RedisArguments make_read(std::span<const Document> expected, std::size_t& next) const {
    std::vector<std::string_view> targets;
    RedisArguments members;
    std::size_t limit = 0;
    for (; next < expected.size() && targets.size() < inspect_documents_max; ++next) {
      const auto& document = expected[next];
      const auto larger = std::max(limit, read_limit(shape_, document));
      if (larger * (targets.size() + 1) > inspect_bytes_max && !targets.empty()) break;
      limit = larger;
      targets.push_back(document.target);
      members.add(document.member);
    }
    auto call = function_call("read", targets);
    call.add(name_of(shape_));
    call.add(std::to_string(limit));
    call.add(members);
    return call;
  }

  FoundDocument found_document(const redisReply& reply, const Document& expected) const {
    const auto entry = parse_redis_entry(text_of(*reply.element[0]));
    auto found = compare(shape_, expected, text_of(*reply.element[1]), *reply.element[2]);
    found.foreign = found.present && !(entry && entry->is_live);
    if (entry) found.version = redis_version_in(entry->version, generation_);
    return found;
  }

  RedisShape known_shape(std::string_view name) const {
    const auto shape = parse_redis_shape(name);
    if (!shape)
      throw IndexError(Kind::refused, fmt::format("the key \"{}\" in Redis is none of an index", checkpoint_),
                       "delete it, or give the index another name with the option index");
    return *shape;
  }

  HeldPage read_page(RedisConnection& redis, std::string_view cursor, RedisShape shape) const {
    const auto reply = redis.ask({"HSCAN", documents_, cursor, "COUNT", scan_documents});
    HeldPage page;
    page.next = text_of(*reply->element[0]);
    if (page.next == scan_end) page.next.clear();
    const auto& entries = *reply->element[1];
    for (std::size_t i = 0; i + 1 < entries.elements; i += 2) {
      const auto entry = parse_redis_entry(text_of(*entries.element[i + 1]));
      if (!entry || !entry->is_live) continue;
      const std::string_view key = may_be_key(entry->key) ? entry->key : "";
      if (auto held = held_document(shape, text_of(*entries.element[i]), key))
        page.documents.push_back(std::move(*held));
    }
    return page;
  }

  // Page by page, so that Redis is never busy for long.
  void remove_everything(RedisConnection& redis, RedisShape shape) const {
    std::string cursor(scan_end);
    do {
      const auto page = read_page(redis, cursor, shape);
      std::vector<std::string_view> targets;
      for (const auto& document : page.documents) targets.push_back(document.target);
      auto call = function_call("clear", targets);
      call.add(definition_.owner);
      call.add(name_of(shape));
      for (const auto& document : page.documents) call.add(document.member);
      redis.ask(call);
      cursor = page.next;
    } while (!cursor.empty());
    auto call = function_call("forget", {});
    call.add(definition_.owner);
    redis.ask(call);
  }

  const IndexSettings settings_;
  const IndexDefinition definition_;
  // From open() on; drop() knows the keys.
  RedisShape shape_ = RedisShape::json;
  std::string ttl_;                                  // empty: for good
  std::string documents_, tombstones_, checkpoint_;  // the index's own keys
  std::string generation_, token_;                   // as Redis compares them
  std::string identity_;                             // of the index that was opened
  std::optional<RedisHashes> hashes_;                // where plain commands will do
  std::size_t argument_bytes_max_ = redis_argument_bytes_max;
  const Stop& stop_;
  bool warned_ = false;
  std::unique_ptr<RedisConnection> connection_;
  std::unique_ptr<RedisConnection> second_;  // where there was much to write
  bool second_tried_ = false;
};

}  // namespace

std::unique_ptr<ExternalIndex> make_redis_index(const IndexSettings& settings, IndexDefinition definition,
                                                const Stop& stop) {
  return std::make_unique<RedisIndex>(settings, std::move(definition), stop);
}

}  // namespace anabranch
