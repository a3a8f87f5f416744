// For bench/indexes: what loads documents as fast as that can be done, with all of them prepared before the clock
// starts.
//
//   bare_writer bulk HOST:PORT PATH FILE    FILE: bulk requests' lines, two a document. Sent to PATH in bodies of 5 MB,
//                                           over two connections; then the index, PATH's first part, is refreshed
//   bare_writer redis HOST:PORT FILE        FILE: commands that Redis answers by numbers. Sent over one connection
//                                           without waiting; ends when all answers are there
//
// Prints the seconds from the first byte sent to the last answer. An engine that refuses anything is an error, but for
// one that asks for less (429): it is given a rest and asked again.
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t body_bytes = 5 << 20;
constexpr int in_flight = 3;  // as the sidecar
constexpr std::size_t receive_bytes = 256 << 10;
constexpr std::chrono::milliseconds rest{300};
constexpr int tries_max = 200;  // of a request that is put off: a minute

std::string read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(std::string("cannot read ") + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Socket {
 public:
  explicit Socket(const std::string& address) : host_(address) {
    const auto colon = address.find(':');
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(), &hints, &found) != 0)
      throw std::runtime_error("no address: " + address);
    descriptor_ = socket(found->ai_family, SOCK_STREAM, 0);
    const bool connected = connect(descriptor_, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    if (!connected) throw std::runtime_error("cannot connect to " + address);
    const int yes = 1;
    setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  }
  ~Socket() { close(descriptor_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  const std::string& host() const { return host_; }
  // Whoever sends or receives fails from now on.
  void end() { shutdown(descriptor_, SHUT_RDWR); }

  void send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto count = send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) throw std::runtime_error("the connection broke while sending");
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  // What has come, at least a byte; valid until the next call.
  std::string_view receive() {
    const auto count = recv(descriptor_, buffer_.data(), buffer_.size(), 0);
    if (count <= 0) throw std::runtime_error("the connection broke while receiving");
    return {buffer_.data(), static_cast<std::size_t>(count)};
  }

 private:
  std::string host_;
  int descriptor_ = -1;
  std::array<char, receive_bytes> buffer_;
};

// Its answer, head and body.
std::string post_once(Socket& socket, std::string_view path, std::string_view body) {
  socket.send_all("POST " + std::string(path) + " HTTP/1.1\r\nHost: " + socket.host() +
                  "\r\nContent-Type: application/x-ndjson\r\nContent-Length: " + std::to_string(body.size()) +
                  "\r\n\r\n");
  socket.send_all(body);
  std::string answer;
  for (std::size_t wanted = std::string::npos; answer.size() < wanted;) {
    answer += socket.receive();
    const auto end = answer.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    const auto length = answer.find("ontent-length: ");
    if (length == std::string::npos || length > end) throw std::runtime_error("an answer without its length");
    wanted = end + 4 + std::strtoul(answer.c_str() + length + 15, nullptr, 10);
  }
  return answer;
}

// The same, of what has been taken.
std::string post(Socket& socket, std::string_view path, std::string_view body) {
  std::string answer = post_once(socket, path, body);
  for (int tries = 1; answer.starts_with("HTTP/1.1 429") && tries < tries_max; ++tries) {
    std::this_thread::sleep_for(rest);
    answer = post_once(socket, path, body);
  }
  if (!answer.starts_with("HTTP/1.1 200")) throw std::runtime_error("refused: " + answer.substr(0, 2'000));
  return answer;
}

// A thread whose exception is thrown by join().
class Worker {
 public:
  template <typename Work>
  explicit Worker(Work work)
      : thread_([this, work] {
          try {
            work();
          } catch (...) {
            failure_ = std::current_exception();
          }
        }) {}
  ~Worker() {
    if (thread_.joinable()) thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void join() {
    thread_.join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::exception_ptr failure_;
  std::thread thread_;  // last: it uses the other
};

// Whole documents of at most body_bytes.
std::vector<std::string_view> bodies_of(std::string_view text) {
  std::vector<std::string_view> bodies;
  while (!text.empty()) {
    std::size_t end = 0;
    while (end < text.size()) {
      const auto document = text.find('\n', text.find('\n', end) + 1) + 1;
      if (end > 0 && document > body_bytes) break;
      end = document;
    }
    bodies.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return bodies;
}

double bulk(const std::string& address, const std::string& path, const char* file) {
  const std::string text = read_file(file);
  const auto bodies = bodies_of(text);
  std::atomic<std::size_t> next{0};
  const auto began = Clock::now();
  std::deque<Worker> workers;
  for (int i = 0; i < in_flight; ++i)
    workers.emplace_back([&] {
      Socket socket(address);
      for (std::size_t at = next++; at < bodies.size(); at = next++) {
        const std::string answer = post(socket, path + "?filter_path=errors", bodies[at]);
        if (answer.find("\"errors\":false") == std::string::npos)
          throw std::runtime_error("not all were taken: " + answer);
      }
    });
  for (auto& worker : workers) worker.join();
  Socket socket(address);
  post(socket, path.substr(0, path.find('/', 1)) + "/_refresh", "");
  return std::chrono::duration<double>(Clock::now() - began).count();
}

// Answers are a line each; the last is that to a PING.
void receive_all(Socket& socket) {
  for (bool at_start = true, ended = false; !(ended && at_start);) {
    for (const char byte : socket.receive()) {
      if (at_start && byte == '-') throw std::runtime_error("Redis refuses a command");
      ended = ended || (at_start && byte == '+');
      at_start = byte == '\n';
    }
  }
}

double redis(const std::string& address, const char* file) {
  const std::string commands = read_file(file) + "PING\r\n";
  Socket socket(address);
  const auto began = Clock::now();
  Worker sender([&] { socket.send_all(commands); });
  try {
    receive_all(socket);
  } catch (...) {
    socket.end();  // or the sender would wait for good
    throw;
  }
  sender.join();
  return std::chrono::duration<double>(Clock::now() - began).count();
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const std::string_view mode = count > 1 ? arguments[1] : "";
    if (mode == "bulk" && count == 5)
      std::printf("%.6f\n", bulk(arguments[2], arguments[3], arguments[4]));
    else if (mode == "redis" && count == 4)
      std::printf("%.6f\n", redis(arguments[2], arguments[3]));
    else
      throw std::runtime_error("usage: bare_writer bulk HOST:PORT PATH FILE | redis HOST:PORT FILE");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bare_writer: %s\n", error.what());
    return 1;
  }
}
