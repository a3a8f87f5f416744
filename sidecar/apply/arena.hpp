// Memory that is given back all at once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

namespace anabranch {

// Bytes for the rows of one batch. What was taken stays where it is until reset(). Not for two threads at a time.
class Arena {
 public:
  // Room for `size` bytes, not yet taken: the next reserve() gives the same room again unless take() was called.
  char* reserve(size_t size) {
    if (size >= static_cast<size_t>(end_ - at_)) add_block(size + 1);  // a byte to spare: never a null pointer
    return at_;
  }
  // Keeps the first `size` bytes of the room reserved last.
  char* take(size_t size) {
    char* taken = at_;
    at_ += size;
    return taken;
  }
  // Memory held, taken or not.
  size_t bytes() const { return bytes_; }

  // Frees everything but the largest usual block, which the next batch will want.
  void reset() {
    std::vector<Block> kept;
    for (Block& block : blocks_)
      if (block.size <= block_size_max && (kept.empty() || block.size > kept[0].size)) {
        kept.clear();
        kept.push_back(std::move(block));
      }
    blocks_ = std::move(kept);
    bytes_ = blocks_.empty() ? 0 : blocks_[0].size;
    at_ = blocks_.empty() ? nullptr : blocks_[0].data.get();
    end_ = at_ + bytes_;
  }

 private:
  struct Block {
    std::unique_ptr<char[]> data;
    size_t size = 0;
  };
  static constexpr size_t block_size_min = 16 << 10;
  static constexpr size_t block_size_max = 1 << 20;

  void add_block(size_t size) {
    const size_t usual = std::clamp(bytes_, block_size_min, block_size_max);
    Block block{std::unique_ptr<char[]>(new char[std::max(size, usual)]), std::max(size, usual)};
    at_ = block.data.get();
    end_ = at_ + block.size;
    bytes_ += block.size;
    blocks_.push_back(std::move(block));
  }

  std::vector<Block> blocks_;
  char* at_ = nullptr;
  char* end_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace anabranch
