// Reading partitions through librdkafka, against its mock of a cluster: offsets, ends, and what is not there. What has
// to do with transactions needs a real broker, and is in test/e2e.
#include "sidecar/log/kafka_topic_reader.hpp"

#include <limits>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka_mock.h>
#include <malloc.h>

namespace anabranch {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr int64_t to_the_end = std::numeric_limits<int64_t>::max() - 1;

// A cluster of one broker that is part of a producer.
class MockKafka {
 public:
  MockKafka() {
    char reason[256];
    rd_kafka_conf_t* configuration = rd_kafka_conf_new();
    rd_kafka_conf_set(configuration, "test.mock.num.brokers", "1", reason, sizeof reason);
    rd_kafka_conf_set(configuration, "linger.ms", "0", reason, sizeof reason);
    // The mock answers with whole batches, one a partition.
    rd_kafka_conf_set(configuration, "batch.num.messages", "10", reason, sizeof reason);
    producer_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, configuration, reason, sizeof reason));
    cluster_ = rd_kafka_handle_mock_cluster(producer_.get());
  }
  KafkaProperties properties() const { return {{"bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster_)}}; }
  void topic(const std::string& name, int partitions) {
    rd_kafka_mock_topic_create(cluster_, name.c_str(), partitions, 1);
  }
  void set_error(const std::string& topic, rd_kafka_resp_err_t error) {
    rd_kafka_mock_topic_set_error(cluster_, topic.c_str(), error);
  }
  void write(const std::string& topic, int32_t partition, int first, int last) {
    for (int number = first; number <= last; ++number) {
      const std::string value = "value " + std::to_string(number), text = std::to_string(number);
      rd_kafka_producev(producer_.get(), RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition),
                        RD_KAFKA_V_KEY("key", 3), RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADER("number", text.data(), text.size()),
                        RD_KAFKA_V_HEADER("lsn", "0/1", 3), RD_KAFKA_V_END);
    }
    ASSERT_EQ(rd_kafka_flush(producer_.get(), 10'000), RD_KAFKA_RESP_ERR_NO_ERROR);
  }

 private:
  kafka::Handle<rd_kafka_t> producer_;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

struct KafkaTopicReaderTest : ::testing::Test {
  MockKafka kafka;
  Stop stop;
  KafkaTopicReader reader{kafka.properties(), stop, 20s};

  // Numbers and offsets from `first` to `last`, checking each record.
  std::vector<int> read(int32_t partition, int64_t first, int64_t last) {
    std::vector<int> numbers;
    for (int tries = 0; first <= last && tries < 400; ++tries) {
      const TopicRead read = reader.read("t", partition, first, last, 50ms);
      for (const TopicRecord& record : read.records) {
        EXPECT_GE(record.offset, first);
        EXPECT_LE(record.offset, last);
        EXPECT_EQ(record.key, "key");
        EXPECT_EQ(record.value, "value " + std::string(record.headers.number));
        EXPECT_EQ(record.headers.lsn, "0/1");
        numbers.push_back(std::stoi(std::string(record.headers.number)));
      }
      if (read.at_end) break;
      first = read.next;
    }
    return numbers;
  }
};

std::vector<int> range(int first, int last) {
  std::vector<int> numbers;
  for (int number = first; number <= last; ++number) numbers.push_back(number);
  return numbers;
}

TEST_F(KafkaTopicReaderTest, ReadsWhatIsAskedForAndNoMore) {
  kafka.topic("t", 2);
  kafka.write("t", 0, 0, 99);
  kafka.write("t", 1, 1000, 1009);
  EXPECT_EQ(read(0, 0, 9), range(0, 9));
  EXPECT_EQ(read(1, 0, 3), range(1000, 1003));
  EXPECT_EQ(read(0, 10, 49), range(10, 49));
  EXPECT_EQ(read(0, 60, 69), range(60, 69));  // what lies between is passed over
  EXPECT_EQ(read(1, 4, 9), range(1004, 1009));
  EXPECT_EQ(read(0, 5, 7), range(5, 7));  // and back
  reader.release("t", 0);
  EXPECT_EQ(read(0, 70, to_the_end), range(70, 99));
}

TEST_F(KafkaTopicReaderTest, TellsTheEndAndGoesOnBehindIt) {
  kafka.topic("t", 1);
  kafka.write("t", 0, 0, 4);
  EXPECT_EQ(read(0, 0, to_the_end), range(0, 4));
  EXPECT_EQ(read(0, 5, to_the_end), range(0, -1));
  kafka.write("t", 0, 5, 6);
  std::vector<int> later;
  for (int tries = 0; later.empty() && tries < 100; ++tries) later = read(0, 5, 6);
  EXPECT_EQ(later, range(5, 6));
  const auto bounds = reader.bounds("t", 0);
  ASSERT_TRUE(bounds);
  EXPECT_EQ(bounds->first, 0);
  EXPECT_EQ(bounds->end, 7);
}

TEST_F(KafkaTopicReaderTest, GoesOnWhereItWasWhenMorePartitionsShareTheReadAhead) {
  constexpr int partitions = 18;  // two more than the first client is for
  kafka.topic("t", partitions);
  for (int partition = 0; partition < partitions; ++partition)
    kafka.write("t", partition, 100 * partition, 100 * partition + 9);
  for (int partition = 0; partition < partitions; ++partition)
    EXPECT_EQ(read(partition, 0, 4), range(100 * partition, 100 * partition + 4));
  for (int partition = 0; partition < partitions; ++partition)
    EXPECT_EQ(read(partition, 5, 9), range(100 * partition + 5, 100 * partition + 9));
}

TEST_F(KafkaTopicReaderTest, GoesOnWhenAQueueWasFull) {
  KafkaTopicReader narrow(kafka.properties(), stop, 20s, 1 << 20);
  kafka.topic("t", 1);
  kafka.write("t", 0, 0, 2999);
  int64_t next = 0;
  for (int tries = 0; next < 3000 && tries < 4000; ++tries) {
    const TopicRead read = narrow.read("t", 0, next, 2999, 500ms);
    for (const TopicRecord& record : read.records) EXPECT_EQ(record.offset, next++);
  }
  EXPECT_EQ(next, 3000);
}

// Without a bound over all of them it would read all of it ahead, some 14 MB.
TEST_F(KafkaTopicReaderTest, BoundsWhatIsReadAheadOfManyPartitions) {
  constexpr int partitions = 100, records = 400;
  constexpr size_t bound = 4 << 20;
  kafka.topic("t", partitions);
  for (int partition = 0; partition < partitions; ++partition) kafka.write("t", partition, 0, records - 1);
  KafkaTopicReader narrow(kafka.properties(), stop, 20s, bound);
  const size_t before = mallinfo2().uordblks;
  const auto read_one = [&](int partition, int64_t offset) {
    for (int tries = 0; tries < 400; ++tries)
      if (!narrow.read("t", partition, offset, offset, 50ms).records.empty()) return true;
    return false;
  };
  for (int64_t offset = 0; offset < 3; ++offset)
    for (int partition = 0; partition < partitions; ++partition) ASSERT_TRUE(read_one(partition, offset));
  size_t used = mallinfo2().uordblks, last = 0;
  while (used != last) {  // until nothing comes any more
    last = used;
    std::this_thread::sleep_for(1200ms);
    used = mallinfo2().uordblks;
  }
  EXPECT_LT(used, before + bound);
}

TEST_F(KafkaTopicReaderTest, RecordsOutliveTheReader) {
  kafka.topic("t", 1);
  kafka.write("t", 0, 0, 9);
  TopicRead kept;
  {
    KafkaTopicReader another(kafka.properties(), stop, 20s);
    for (int tries = 0; kept.records.empty() && tries < 400; ++tries) kept = another.read("t", 0, 0, to_the_end, 50ms);
  }
  ASSERT_FALSE(kept.records.empty());
  EXPECT_EQ(kept.records[0].value, "value 0");
}

TEST_F(KafkaTopicReaderTest, AnOffsetThatIsNotThereIsAGap) {
  kafka.topic("t", 1);
  kafka.write("t", 0, 0, 4);
  try {
    for (int tries = 0; tries < 100; ++tries) reader.read("t", 0, 50, 60, 50ms);
    FAIL() << "no LogError";
  } catch (const LogError& error) {
    EXPECT_EQ(error.kind(), LogError::Kind::gap);
    EXPECT_THAT(error.what(), HasSubstr("ends at offset 5, before offset 50"));
  }
}

TEST_F(KafkaTopicReaderTest, WaitsForATopicThatABrokerDoesNotKnowForAMoment) {
  kafka.topic("t", 1);
  kafka.write("t", 0, 0, 4);
  EXPECT_EQ(read(0, 0, 4), range(0, 4));
  kafka.set_error("t", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  std::thread broker([&] {
    std::this_thread::sleep_for(2s);
    kafka.set_error("t", RD_KAFKA_RESP_ERR_NO_ERROR);
  });
  EXPECT_TRUE(reader.bounds("t", 0)) << "it was there";
  broker.join();
}

TEST_F(KafkaTopicReaderTest, AStopEndsEveryWait) {
  kafka.topic("t", 1);
  stop.request();
  EXPECT_THROW(reader.read("t", 0, 0, to_the_end, 50ms), Interrupted);
}

TEST(KafkaTopicReader, GivesUpOnBrokersThatSayNothing) {
  const Stop stop;
  KafkaTopicReader reader({{"bootstrap.servers", "127.0.0.1:1"}}, stop, 300ms);
  EXPECT_THROW(reader.bounds("t", 0), KafkaError);
}

}  // namespace
}  // namespace anabranch
