#include "sidecar/copy/join_desk.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace anabranch {
namespace {

TEST(JoinDesk, CarriesTheAnswerToTheWorkerThatAsked) {
  JoinDesk desk;
  Stop stop;
  JoinDesk::Answer first{}, second{};
  std::thread one([&] { first = desk.ask({1, Lsn(10)}, stop); });
  std::thread two([&] { second = desk.ask({2, Lsn(20)}, stop); });
  for (int answered = 0; answered < 2;) {
    const auto request = desk.next();
    if (!request) {
      std::this_thread::yield();
      continue;
    }
    EXPECT_EQ(request->position.value(), request->copy * 10);
    desk.answer(request->copy, request->copy == 1 ? JoinDesk::Answer::accepted : JoinDesk::Answer::behind);
    ++answered;
  }
  one.join();
  two.join();
  EXPECT_EQ(first, JoinDesk::Answer::accepted);
  EXPECT_EQ(second, JoinDesk::Answer::behind);
  EXPECT_FALSE(desk.next());
}

TEST(JoinDesk, EndsTheWaitWhenStopped) {
  JoinDesk desk;
  Stop stop;
  stop.request();
  EXPECT_THROW(desk.ask({1, Lsn(10)}, stop), Interrupted);
  EXPECT_FALSE(desk.next());
  desk.answer(1, JoinDesk::Answer::accepted);
}

}  // namespace
}  // namespace anabranch
