#include "sidecar/net/curl.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

constexpr const char* openssl_read = "OpenSSL SSL_read: OpenSSL/3.0.19: error:0A000412:SSL routines::";

TEST(Curl, KnowsWhatPassesFromWhatDoesNot) {
  for (const auto code : {CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE})
    EXPECT_TRUE(is_refusal(code, "")) << code;
  for (const auto code : {CURLE_COULDNT_CONNECT, CURLE_OPERATION_TIMEDOUT, CURLE_RECV_ERROR, CURLE_SEND_ERROR})
    EXPECT_FALSE(is_refusal(code, "")) << code;
}

TEST(Curl, KnowsWhichAlertsAreOfMistrust) {
  const auto refused = [](const std::string& alert) {
    return is_refusal(CURLE_RECV_ERROR, openssl_read + alert + ", errno 0");
  };
  // As libssl 3.0 has them.
  for (const char* alert : {"sslv3 alert bad certificate", "sslv3 alert certificate expired", "tlsv1 alert unknown ca",
                            "tlsv13 alert certificate required", "tlsv1 alert access denied", "tlsv1 unrecognized name",
                            "sslv3 alert handshake failure", "tlsv1 alert protocol version"})
    EXPECT_TRUE(refused(alert)) << alert;
  for (const char* alert : {"tlsv1 alert internal error", "tlsv1 alert user cancelled", "sslv3 alert bad record mac",
                            "sslv3 alert unexpected message"})
    EXPECT_FALSE(refused(alert)) << alert;
}

}  // namespace
}  // namespace anabranch
