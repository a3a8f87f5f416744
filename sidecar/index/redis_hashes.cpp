#include "sidecar/index/redis_hashes.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include "sidecar/index/redis_error.hpp"
#include "sidecar/index/redis_shape.hpp"

namespace anabranch {

namespace {

constexpr std::size_t queued_bytes = std::string_view("+QUEUED\r\n").size();  // no error is shorter

bool is_number(const redisReply& reply, std::size_t number) {
  return reply.type == REDIS_REPLY_INTEGER && static_cast<std::size_t>(reply.integer) == number;
}

}  // namespace

// A transaction, and what it is of.
struct RedisHashes::Batch {
  std::vector<std::size_t> places, fields;  // of each document
  bool with_lengths = false;
  RedisArguments targets{"EXISTS"};
  RedisCommands sets;      // HSET of each, and HLEN with lengths
  RedisArguments entries;  // HSET of all
  std::size_t queued = 0;  // commands between MULTI and EXEC
};

std::vector<std::size_t> RedisHashes::set(RedisConnection& first, const std::function<RedisConnection*()>& second,
                                          std::span<const Document> documents, std::string_view version) {
  std::vector<std::size_t> left;
  std::deque<std::pair<RedisConnection&, Batch>> under_way;
  const auto take_first = [&] {
    take(under_way.front().first, under_way.front().second, left);
    under_way.pop_front();
  };
  std::vector<RedisConnection*> sessions{&first};
  std::size_t next = 0;
  for (std::size_t number = 0; next < documents.size(); ++number) {
    if (number == 1)
      if (RedisConnection* const other = second()) sessions.push_back(other);
    // The one that raises the version touches the checkpoint.
    while (!under_way.empty() && (under_way.size() == sessions.size() || !reached_)) take_first();
    RedisConnection& redis = *sessions[number % sessions.size()];
    look(redis);
    Batch batch = make_batch(documents, version, next, left);
    const bool may = may_set(redis, version);
    if (batch.places.empty() || !may) {
      redis.ask({"UNWATCH"});
      left.insert(left.end(), batch.places.begin(), batch.places.end());
      for (; next < documents.size(); ++next) left.push_back(next);
      break;
    }
    put(redis, batch, version);
    under_way.emplace_back(redis, std::move(batch));
  }
  while (!under_way.empty()) take_first();
  std::sort(left.begin(), left.end());
  return left;
}

// From documents[next] on as many as may be in one transaction; moves `next` behind them.
RedisHashes::Batch RedisHashes::make_batch(std::span<const Document> documents, std::string_view version,
                                           std::size_t& next, std::vector<std::size_t>& left) const {
  Batch batch;
  batch.with_lengths = ask_lengths_;
  batch.entries = {"HSET", index_.documents};
  RedisArguments command;
  for (std::size_t bytes = 0; next < documents.size() && batch.places.size() < redis_batch_documents_max; ++next) {
    const auto& document = documents[next];
    bytes += bytes_of(document);
    if (bytes > bytes_max_ && !batch.places.empty()) break;
    command.clear();
    command.add("HSET");
    command.add(document.target);
    const auto fields = document.content ? add_fields(document, argument_bytes_max_, command) : std::nullopt;
    // Redis has no hash without fields.
    if (fields.value_or(0) == 0) {
      left.push_back(next);
      continue;
    }
    batch.sets.add(command);
    if (batch.with_lengths) batch.sets.add({"HLEN", document.target});
    batch.targets.add(document.target);
    batch.entries.add(document.target);
    batch.entries.add(entry_of(document, version));
    batch.places.push_back(next);
    batch.fields.push_back(*fields);
  }
  return batch;
}

void RedisHashes::look(RedisConnection& redis) const {
  redis.put({"WATCH", index_.checkpoint});
  redis.put({"HMGET", index_.checkpoint, "identity", "token", "generation", "version"});
  redis.flush();
}

// Takes the answers to look().
bool RedisHashes::may_set(RedisConnection& redis, std::string_view version) {
  redis.receive_checked();
  const auto known = redis.receive_checked();
  const auto text = [&](std::size_t i) { return text_of(*known->element[i]); };
  reached_ = text(3) == version;
  return text(0) == index_.identity && text(1) == index_.token && text(2) == index_.generation && text(3) <= version;
}

void RedisHashes::put(RedisConnection& redis, Batch& batch, std::string_view version) const {
  redis.put({"MULTI"});
  if (!batch.with_lengths) redis.put(batch.targets);
  redis.put(batch.sets);
  redis.put(batch.entries);
  if (!reached_) redis.put({"HSET", index_.checkpoint, "version", version});
  redis.put({"EXEC"});
  redis.flush();
  batch.queued = batch.sets.count() + 1 + (batch.with_lengths ? 0 : 1) + (reached_ ? 0 : 1);
}

// Takes the answers to put().
void RedisHashes::take(RedisConnection& redis, const Batch& batch, std::vector<std::size_t>& left) {
  // Woken for the answers to every few commands, this thread would take turns with Redis on one processor.
  redis.await(batch.queued * queued_bytes);
  std::string refusal;  // the first: EXEC says only that there was one
  const auto receive = [&] {
    try {
      return redis.receive();
    } catch (const IndexError&) {
      // It closes the connection behind what it cannot even read.
      if (!refusal.empty()) throw redis_error(refusal, redis.where());
      throw;
    }
  };
  for (std::size_t i = 0; i < 1 + batch.queued; ++i) {
    const auto queued = receive();
    if (queued->type == REDIS_REPLY_ERROR && refusal.empty()) refusal = text_of(*queued);
  }
  const auto done = receive();
  if (!refusal.empty()) throw redis_error(refusal, redis.where());
  if (done->type == REDIS_REPLY_ERROR) throw redis_error(text_of(*done), redis.where());
  if (done->type == REDIS_REPLY_NIL) {
    left.insert(left.end(), batch.places.begin(), batch.places.end());
    return;
  }
  if (batch.with_lengths) {
    ask_lengths_ = false;
    for (std::size_t i = 0; i < batch.places.size(); ++i) {
      if (!is_number(*done->element[2 * i], batch.fields[i])) ask_lengths_ = true;
      if (!is_number(*done->element[2 * i + 1], batch.fields[i])) left.push_back(batch.places[i]);
    }
  } else {
    ask_lengths_ = !is_number(*done->element[0], 0);
    if (ask_lengths_) left.insert(left.end(), batch.places.begin(), batch.places.end());
  }
  for (std::size_t i = batch.sets.count() + (batch.with_lengths ? 0 : 1); i < done->elements; ++i)
    if (done->element[i]->type == REDIS_REPLY_ERROR) throw redis_error(text_of(*done->element[i]), redis.where());
}

}  // namespace anabranch
