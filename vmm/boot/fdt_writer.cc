#include "vmm/boot/fdt_writer.h"

#include <libfdt.h>

namespace hull {

FdtWriter::FdtWriter(size_t most_bytes) : buffer_(most_bytes) {
  Note(fdt_create(buffer_.data(), static_cast<int>(buffer_.size())));
  Note(fdt_finish_reservemap(buffer_.data()));
}

void FdtWriter::Note(int libfdt_error) {
  if (error_ == 0) error_ = libfdt_error;
}

void FdtWriter::BeginNode(const std::string& name) {
  Note(fdt_begin_node(buffer_.data(), name.c_str()));
}

void FdtWriter::EndNode() {
  Note(fdt_end_node(buffer_.data()));
}

void FdtWriter::Flag(const char* name) {
  Note(fdt_property(buffer_.data(), name, nullptr, 0));
}

void FdtWriter::Text(const char* name, std::string_view value) {
  const std::string text(value);
  // With its final NUL.
  Note(fdt_property(buffer_.data(), name, text.c_str(), static_cast<int>(text.size() + 1)));
}

void FdtWriter::Cells(const char* name, std::initializer_list<uint32_t> cells) {
  Cells(name, std::span<const uint32_t>(cells.begin(), cells.size()));
}

void FdtWriter::Cells(const char* name, std::span<const uint32_t> cells) {
  std::vector<fdt32_t> big_endian;
  big_endian.reserve(cells.size());
  for (const uint32_t cell : cells) big_endian.push_back(cpu_to_fdt32(cell));
  Note(fdt_property(buffer_.data(), name, big_endian.data(),
                    static_cast<int>(big_endian.size() * sizeof(fdt32_t))));
}

void FdtWriter::Reg(uint64_t address, uint64_t size_bytes) {
  Cells("reg", {static_cast<uint32_t>(address >> 32U), static_cast<uint32_t>(address),
                static_cast<uint32_t>(size_bytes >> 32U), static_cast<uint32_t>(size_bytes)});
}

Result<std::vector<std::byte>> FdtWriter::Finish() && {
  Note(fdt_finish(buffer_.data()));
  if (error_ != 0) {
    return Fail(error_ == -FDT_ERR_NOSPACE ? ErrorCode::kExhausted : ErrorCode::kFailed,
                "make the device tree: {}", fdt_strerror(error_));
  }
  buffer_.resize(fdt_totalsize(buffer_.data()));
  return std::move(buffer_);
}

}  // namespace hull
