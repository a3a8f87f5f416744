#include "extension/postgres.hpp"

#include "decoder/frame.hpp"

namespace anabranch {

namespace {

// A buffer that one large record has made larger is given back.
constexpr int size_kept = 4 * 1024 * 1024;

}  // namespace

void Frame::initStringInfoSize(int size) {
  initStringInfo(&buffer_);
  enlargeStringInfo(&buffer_, size);
}

void Frame::write(LogicalDecodingContext* decoding, bool is_last) {
  // Not written in place between PrepareWrite and Write: the server stamps the position when it is told to prepare, and
  // a frame belongs to its last record, not to its first.
  OutputPluginPrepareWrite(decoding, is_last);
  appendBinaryStringInfo(decoding->out, buffer_.data, buffer_.len);
  OutputPluginWrite(decoding, is_last);
  resetStringInfo(&buffer_);
  if (buffer_.maxlen > size_kept) {
    buffer_.data = static_cast<char*>(repalloc(buffer_.data, size_wanted * 2));
    buffer_.maxlen = size_wanted * 2;
  }
}

}  // namespace anabranch
