// Protobuf's wire format on bytes: sizes, a writer and a bounds-checked reader. Knows neither PostgreSQL nor our
// records, so the server libraries and the unit tests compile the same lines.
//
// Writing is done in two passes: sum the sizes, reserve that many bytes once, then write. Between the two nothing can
// fail, so the writer checks nothing; it asserts in debug builds that the promised size was met.
//
// Reading trusts nothing: every length is checked against what is left, and a damaged field is a result, not an error.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace anabranch::wire {

static_assert(std::endian::native == std::endian::little, "fixed-width fields are copied as they are in memory");

// The wire types of the format; the numbers are there for good.
enum class Type : uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

// Field numbers above this do not fit a tag.
inline constexpr uint32_t field_number_max = (1u << 29) - 1;

// Bytes that `value` takes as a varint: 1 to 10.
inline constexpr size_t varint_size(uint64_t value) {
  return (static_cast<size_t>(std::bit_width(value | 1)) * 9 + 64) / 64;
}

// Maps integers of small magnitude, of either sign, to small unsigned ones (protobuf's sint32 and sint64).
inline constexpr uint64_t zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

inline constexpr int64_t unzigzag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

inline constexpr uint32_t tag(uint32_t field, Type type) {
  return field << 3 | static_cast<uint32_t>(type);
}
inline constexpr size_t tag_size(uint32_t field) {
  return varint_size(tag(field, Type::varint));
}

// Sizes of whole fields, tag included.
inline constexpr size_t varint_field_size(uint32_t field, uint64_t value) {
  return tag_size(field) + varint_size(value);
}
inline constexpr size_t bytes_field_size(uint32_t field, size_t size) {
  return tag_size(field) + varint_size(size) + size;
}
inline constexpr size_t fixed32_field_size(uint32_t field) {
  return tag_size(field) + 4;
}
inline constexpr size_t fixed64_field_size(uint32_t field) {
  return tag_size(field) + 8;
}

// Writes at `at`, which the caller has made large enough for every field to come. Trivially destructible: a server
// error may jump over it.
class Writer {
 public:
  explicit Writer(char* at) : at_(at) {}

  char* at() const { return at_; }

  void varint(uint64_t value) {
    while (value >= 0x80) {
      *at_++ = static_cast<char>(value | 0x80);
      value >>= 7;
    }
    *at_++ = static_cast<char>(value);
  }

  // A tag of which the caller keeps the number and the type.
  void tag(uint32_t field, Type type) { varint(wire::tag(field, type)); }

  void raw(const void* data, size_t size) {
    std::memcpy(at_, data, size);
    at_ += size;
  }

  void varint_field(uint32_t field, uint64_t value) {
    tag(field, Type::varint);
    varint(value);
  }

  void signed_field(uint32_t field, int64_t value) { varint_field(field, zigzag(value)); }

  void fixed32_field(uint32_t field, uint32_t value) {
    tag(field, Type::fixed32);
    raw(&value, 4);
  }

  void fixed64_field(uint32_t field, uint64_t value) {
    tag(field, Type::fixed64);
    raw(&value, 8);
  }

  void bytes_field(uint32_t field, const void* data, size_t size) {
    begin_bytes(field, size);
    raw(data, size);
  }

  // Tag and length of a field whose `size` bytes the caller writes next.
  void begin_bytes(uint32_t field, size_t size) {
    tag(field, Type::bytes);
    varint(size);
  }

 private:
  char* at_;
};

// Reads a varint and moves `at` behind it. False when the bytes end inside it or it is longer than ten bytes or 64
// bits.
inline bool read_varint(const char*& at, const char* end, uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (at == end) return false;
    auto byte = static_cast<uint8_t>(*at++);
    if (shift == 63 && byte > 1) return false;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// One field as it stands in the bytes. `bytes` points into what the reader was given and lives as long.
struct Field {
  uint32_t number = 0;
  Type type = Type::varint;
  uint64_t value = 0;      // varint, fixed32 and fixed64: the bits
  std::string_view bytes;  // bytes only
};

// Reads the fields of one message in order:
//
//   Reader reader(bytes);
//   Field field;
//   while (reader.next(field)) ...
//   if (reader.damaged()) ...
//
// A message that ends inside a field, an unknown wire type, a field number of zero and a varint of more than ten bytes
// are damage: next() returns false and says so ever after.
class Reader {
 public:
  explicit Reader(std::string_view message) : at_(message.data()), end_(message.data() + message.size()) {}

  bool damaged() const { return damaged_; }

  // How much is left unread: after damage, counted from the start of the damaged field.
  size_t left() const { return static_cast<size_t>(end_ - at_); }

  bool next(Field& field) {
    if (damaged_ || at_ == end_) return false;
    const char* start = at_;
    if (read(field)) return true;
    damaged_ = true;
    at_ = start;
    return false;
  }

 private:
  bool read_varint(uint64_t& value) { return wire::read_varint(at_, end_, value); }

  bool read_fixed(uint64_t& value, size_t size) {
    if (left() < size) return false;
    value = 0;
    std::memcpy(&value, at_, size);
    at_ += size;
    return true;
  }

  bool read(Field& field) {
    uint64_t key;
    if (!read_varint(key) || (key >> 3) == 0 || (key >> 3) > field_number_max) return false;
    field.number = static_cast<uint32_t>(key >> 3);
    field.type = static_cast<Type>(key & 7);
    field.value = 0;
    field.bytes = {};
    switch (field.type) {
      case Type::varint:
        return read_varint(field.value);
      case Type::fixed64:
        return read_fixed(field.value, 8);
      case Type::fixed32:
        return read_fixed(field.value, 4);
      case Type::bytes: {
        uint64_t size;
        if (!read_varint(size) || size > left()) return false;
        field.bytes = std::string_view(at_, static_cast<size_t>(size));
        at_ += size;
        return true;
      }
    }
    return false;
  }

  const char* at_;
  const char* end_;
  bool damaged_ = false;
};

// Reads the numbers of a packed field. As with Reader, damage ends them and is told afterwards.
class Varints {
 public:
  explicit Varints(std::string_view packed) : at_(packed.data()), end_(packed.data() + packed.size()) {}

  bool damaged() const { return damaged_; }

  bool next(uint64_t& value) {
    if (damaged_ || at_ == end_) return false;
    damaged_ = !read_varint(at_, end_, value);
    return !damaged_;
  }

 private:
  const char* at_;
  const char* end_;
  bool damaged_ = false;
};

static_assert(std::is_trivially_destructible_v<Writer> && std::is_trivially_destructible_v<Reader> &&
              std::is_trivially_destructible_v<Varints>);

}  // namespace anabranch::wire
