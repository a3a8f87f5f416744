// What `anabranch check` finds is what a run would.
#include <chrono>

#include <gmock/gmock.h>

#include "test/unit/index/redis_index_fixture.hpp"
#include "test/unit/index/redis_stub.hpp"
#include "test/unit/index/search_stub.hpp"

namespace anabranch {
namespace {

using test::failure;
using test::HttpStub;
using test::RedisStub;
using testing::AllOf;
using testing::HasSubstr;

IndexSettings redis_at(std::vector<std::string> urls) {
  IndexSettings settings;
  settings.kind = IndexSettings::Kind::redis;
  settings.urls = std::move(urls);
  return settings;
}

TEST(DescribeEngine, AsksASearchEngineOnce) {
  const Stop stop;
  HttpStub stub({test::opensearch_root});
  EXPECT_EQ(describe_engine(test::settings_for(stub), stop), "opensearch 2.19.1 at " + stub.url());
  EXPECT_EQ(stub.requests().size(), 1U);
}

TEST(DescribeEngine, RefusesAnOldRedis) {
  const Stop stop;
  const RedisStub stub(RedisStub::hello("6.2.14"));
  EXPECT_THAT(failure([&] { describe_engine(redis_at({stub.url()}), stop); }),
              AllOf(HasSubstr("refused: "), HasSubstr("older than 7")));
}

TEST(DescribeEngine, WaitsForRedisNoLongerThanTheSettingsSay) {
  const Stop stop;
  const RedisStub stub("");
  auto settings = redis_at({stub.url()});
  settings.request_timeout = std::chrono::milliseconds(50);
  EXPECT_THAT(failure([&] { describe_engine(settings, stop); }), HasSubstr("does not answer in time"));
}

class DatabaseRedisDescribed : public test::RedisTest {};

TEST_F(DatabaseRedisDescribed, IsTheServerThatARunWouldUse) {
  ask({"FUNCTION", "FLUSH"});
  EXPECT_THAT(describe_engine(redis_at({"redis://127.0.0.1:1", url_}), stop_), HasSubstr("redis "));
  EXPECT_EQ(ask({"FUNCTION", "LIST"})->elements, 0U) << "it changes nothing";
  const RedisStub loading(RedisStub::hello("7.0.0") + "-LOADING Redis is loading the dataset in memory\r\n");
  EXPECT_THAT(describe_engine(redis_at({loading.url(), url_}), stop_), HasSubstr(url_.substr(8)));
  ask({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_THAT(failure([&] { describe_engine(redis_at({url_}), stop_); }),
              AllOf(HasSubstr("refused: "), HasSubstr("name the primary")));
  ask({"REPLICAOF", "NO", "ONE"});
}

}  // namespace
}  // namespace anabranch
