#include "vmm/machine/images.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "vmm/base/checked.h"
#include "vmm/base/file.h"
#include "vmm/machine/partition_table.h"

namespace hull {
namespace {

constexpr uint64_t kPageBytes = 4096;

struct ReadOnlyFile {
  UniqueFd fd;
  uint64_t size_bytes = 0;
};

Result<ReadOnlyFile> OpenReadOnly(const std::string& path) {
  // A FIFO in the file's place must not make the VMM wait for a writer.
  HULL_ASSIGN(UniqueFd fd, OpenFile(path, O_RDONLY | O_NONBLOCK));
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) return FailErrno("stat {}", path);
  if (!S_ISREG(info.st_mode)) {
    return Fail(ErrorCode::kInvalidArgument, "{} is not a regular file", path);
  }
  if (info.st_size == 0) return Fail(ErrorCode::kInvalidArgument, "{} is empty", path);
  return ReadOnlyFile{.fd = std::move(fd), .size_bytes = static_cast<uint64_t>(info.st_size)};
}

struct OpenedPartitions {
  std::vector<ReadOnlyFile> files;
  PartitionTable table;
};

Result<OpenedPartitions> OpenPartitions(const std::vector<api::PartitionConfig>& partitions,
                                        uint64_t unit_bytes) {
  OpenedPartitions opened;
  std::vector<PartitionTable::File> entries;
  for (const api::PartitionConfig& partition : partitions) {
    HULL_ASSIGN(ReadOnlyFile file, OpenReadOnly(partition.path));
    entries.push_back({.name = partition.name, .size_bytes = file.size_bytes});
    opened.files.push_back(std::move(file));
  }
  HULL_ASSIGN(opened.table, PartitionTable::Make(entries, unit_bytes));
  return opened;
}

}  // namespace

Result<OpenedPmem> OpenPmem(const api::PmemConfig& config) {
  OpenedPmem pmem;
  if (config.partitions.empty()) {
    HULL_ASSIGN(ReadOnlyFile file, OpenReadOnly(config.path));
    const auto size_bytes = CheckedAlignUp<uint64_t>(file.size_bytes, PmemContent::kSizeUnitBytes);
    if (!size_bytes) return Fail(ErrorCode::kInvalidArgument, "{} is too large", config.path);
    pmem.content.size_bytes = *size_bytes;
    pmem.content.files.push_back(
        {.offset_bytes = 0, .fd = file.fd.get(), .size_bytes = file.size_bytes});
    pmem.files.push_back(std::move(file.fd));
    return pmem;
  }
  HULL_ASSIGN(OpenedPartitions opened,
              OpenPartitions(config.partitions, PmemContent::kSizeUnitBytes));
  pmem.content.size_bytes = opened.table.size_bytes;
  for (size_t i = 0; i < opened.files.size(); ++i) {
    ReadOnlyFile& file = opened.files[i];
    pmem.content.files.push_back({.offset_bytes = opened.table.offsets_bytes[i],
                                  .fd = file.fd.get(),
                                  .size_bytes = file.size_bytes});
    pmem.files.push_back(std::move(file.fd));
  }
  pmem.content.fillings.push_back({.offset_bytes = 0, .data = std::move(opened.table.primary)});
  pmem.content.fillings.push_back(
      {.offset_bytes = opened.table.backup_offset_bytes, .data = std::move(opened.table.backup)});
  return pmem;
}

Result<DiskContent> OpenDisk(const api::BlockConfig& config) {
  if (config.partitions.empty()) {
    HULL_ASSIGN(UniqueFd fd,
                OpenFile(config.path, (config.read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK));
    auto content = DiskContent::OfFile(std::move(fd), config.read_only);
    if (!content) return Fail(std::move(content).error().Within(config.path));
    return content;
  }
  HULL_ASSIGN(OpenedPartitions opened, OpenPartitions(config.partitions, kPageBytes));
  DiskContent content;
  content.size_bytes = opened.table.size_bytes;
  for (size_t i = 0; i < opened.files.size(); ++i) {
    ReadOnlyFile& file = opened.files[i];
    content.files.push_back({.offset_bytes = opened.table.offsets_bytes[i],
                             .fd = std::move(file.fd),
                             .size_bytes = file.size_bytes});
  }
  content.fillings.push_back({.offset_bytes = 0, .data = std::move(opened.table.primary)});
  content.fillings.push_back(
      {.offset_bytes = opened.table.backup_offset_bytes, .data = std::move(opened.table.backup)});
  return content;
}

}  // namespace hull
