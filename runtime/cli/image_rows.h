// Images as docker lists them, and the filters by which it chooses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "images/store/store.h"
#include "runtime/format/listing.h"
#include "vmm/base/result.h"

namespace hull::cli {

// Columns of `hull images`.
format::Listing ImageListing(bool with_digests);

struct ImageRowOptions {
  int64_t now_s = 0;  // seconds since 1970
  bool truncate = true;
};

// A row for each of these names, or one for an image without a name.
std::vector<format::Row> ImageRows(const images::Image& image,
                                   const std::vector<std::string>& names,
                                   const ImageRowOptions& options);

// --filter of `images` and `image prune`: dangling=, label=, label!=, reference=, before=, since=,
// until=.
class ImageFilters {
 public:
  // kInvalidArgument in docker's words. `known`: the filters that the command has. `store` answers
  // for the images that before= and since= name.
  static Result<ImageFilters> Parse(const std::vector<std::string>& words,
                                    const std::vector<std::string_view>& known,
                                    const images::Store& store, int64_t now_s);

  bool Matches(const images::Image& image) const;
  // The names of the image that a reference pattern wants; all without one.
  std::vector<std::string> WantedNames(const images::Image& image) const;
  // Only images that match this reference, "busybox" or "busybox:1*".
  void AddReference(std::string pattern) { references_.push_back(std::move(pattern)); }
  std::optional<bool> dangling() const { return dangling_; }
  ImageFilters WithoutDangling() const {
    ImageFilters other = *this;
    other.dangling_.reset();
    return other;
  }

 private:
  struct Label {
    std::string key;
    std::optional<std::string> value;
    bool wanted = true;
  };

  std::optional<bool> dangling_;
  std::vector<Label> labels_;
  std::vector<std::string> references_;
  std::optional<int64_t> before_s_;
  std::optional<int64_t> since_s_;
};

}  // namespace hull::cli
