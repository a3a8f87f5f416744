// Applies Deltas as the extension does, on plain containers.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "extension/delta.pb.h"
#include "sidecar/apply/consolidate.hpp"
#include "sidecar/apply/projection.hpp"

namespace anabranch::test {

// Contents of one copy's sources: images with their counts, or rows by key.
struct CopyContents {
  using Images = std::map<std::pair<uint32_t, std::string>, int64_t>;
  using Keys = std::map<std::pair<uint32_t, std::string>, std::string>;
  Images images;
  Keys keys;
  bool operator==(const CopyContents&) const = default;

  static std::string project(const std::vector<uint32_t>& columns, const std::string& row) {
    std::string out(row.size(), '\0');
    out.resize(Projection(columns).project(row, out.data()));
    return out;
  }

  void apply(const CopyPlan& plan, const std::vector<std::string>& deltas) {
    for (size_t i = 0; i < deltas.size(); ++i) {
      v1::Delta delta;
      ASSERT_TRUE(delta.ParseFromString(deltas[i]));
      if (delta.truncate()) {
        ASSERT_EQ(i, 0u);
        *this = CopyContents();
      }
      for (const v1::Row& row : delta.rows()) {
        ASSERT_NE(row.weight(), 0);
        const CopySource* source = nullptr;
        for (const CopySource& candidate : plan.sources)
          if (candidate.ordinal == row.source()) source = &candidate;
        ASSERT_NE(source, nullptr);
        if (!plan.rows_class || source->key.empty()) {
          auto& count = images[{row.source(), row.row()}];
          count += row.weight();
          ASSERT_GE(count, 0);  // within a batch, too
          if (count == 0) images.erase({row.source(), row.row()});
          continue;
        }
        const std::pair key{row.source(), project(source->key, row.row())};
        if (row.weight() > 0) {
          ASSERT_EQ(row.weight(), 1);
          keys[key] = row.row();
        } else {
          ASSERT_EQ(row.weight(), -1);
          keys.erase(key);
        }
      }
    }
  }
};

}  // namespace anabranch::test
