#include "sidecar/index/index.hpp"

#include <utility>

namespace anabranch {
namespace {

class OneBatch : public DocumentStream {
 public:
  explicit OneBatch(std::span<const Document> documents) : documents_(documents) {}

  std::vector<RefusedDocument> refused() { return std::move(refused_); }
  std::optional<std::span<const Document>> next(bool) override { return std::exchange(documents_, std::nullopt); }
  void finish(std::vector<RefusedDocument> refused) override { refused_ = std::move(refused); }

 private:
  std::optional<std::span<const Document>> documents_;
  std::vector<RefusedDocument> refused_;
};

}  // namespace

std::vector<RefusedDocument> ExternalIndex::write(std::span<const Document> documents, IndexVersion version) {
  OneBatch batch(documents);
  write_all(batch, version);
  return batch.refused();
}

}  // namespace anabranch
