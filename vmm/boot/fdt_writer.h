// FdtWriter: makes a flattened device tree, over libfdt. The first error sticks; Finish() reports
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull {

class FdtWriter {
 public:
  // Trees of up to `most_bytes`.
  explicit FdtWriter(size_t most_bytes);

  // Nodes nest; the first one, named "", is the root.
  void BeginNode(const std::string& name);
  void EndNode();

  // Properties of the node that is open, before its child nodes.
  void Flag(const char* name);
  void Text(const char* name, std::string_view value);
  void Cells(const char* name, std::initializer_list<uint32_t> cells);
  void Cells(const char* name, std::span<const uint32_t> cells);
  // "reg" under two address cells and two size cells.
  void Reg(uint64_t address, uint64_t size_bytes);

  // The tree. kExhausted when it outgrew its limit.
  Result<std::vector<std::byte>> Finish() &&;

 private:
  void Note(int libfdt_error);

  std::vector<std::byte> buffer_;
  int error_ = 0;
};

}  // namespace hull
