// Where everything of a tree stands in the metadata area of an EROFS file, and its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "images/import/layer_tree.h"
#include "vmm/base/result.h"

namespace hull::images {

class ErofsLayout {
 public:
  // Places all that is reachable from `root`. `meta_block`: the first block of the metadata area;
  // large directories and links follow it.
  static Result<ErofsLayout> Place(const Inode& root, uint64_t meta_block);

  uint64_t root_nid() const;
  uint64_t inode_count() const { return order_.size(); }
  // Metadata area and the blocks behind it: a multiple of the block size.
  uint64_t size_bytes() const { return area_bytes_ + extra_blocks_ * 4096; }
  // All of it. One allocation of size_bytes().
  std::vector<std::byte> Encode() const;

 private:
  struct Spot {
    uint64_t nid = 0;
    uint64_t data_bytes = 0;  // directories and links: of their content
    uint32_t xattr_bytes = 0;
    uint32_t number = 0;
    uint32_t links = 0;
    uint64_t extra_block = 0;  // index among the blocks behind the area
    bool is_inline = false;
    const Inode* parent = nullptr;  // directories
  };

  explicit ErofsLayout(uint64_t meta_block) : meta_block_(meta_block) {}
  void Collect(const Inode& root);
  void PlaceInode(const Inode& inode, Spot& spot);
  void EncodeInode(const Inode& inode, const Spot& spot, std::vector<std::byte>& image) const;
  void EncodeXattrs(const Inode& inode, std::byte* out) const;
  std::vector<std::byte> EncodeDirectory(const Inode& directory, const Spot& spot) const;

  uint64_t meta_block_;
  uint64_t area_bytes_ = 0;
  uint64_t extra_blocks_ = 0;
  std::vector<const Inode*> order_;
  std::unordered_map<const Inode*, Spot> spots_;
};

}  // namespace hull::images
