// What keeps a layer in the store, and the removal of what nothing keeps.
//
// A layer is kept by the image records that name it, by containers (InUse), and by commands that
// are making an image of it: their scratch directory holds a list of the layers they rely on, and
// counts while its owner lives.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "images/store/file_lock.h"
#include "images/store/records.h"
#include "images/store/store.h"
#include "vmm/base/result.h"

namespace hull::images {

// The right to change names and records and to remove things, for one command at a time. Held for
// moments only, never while anything is fetched or converted. Taken after pull and layer locks.
Result<FileLock> LockStore(const StorePaths& paths);

// Makes the directories that are missing.
Status MakeStore(const StorePaths& paths);

// Keeps these layers, those that are there and those that will be, as long as `scratch` lives. The
// store is locked.
Status PinLayers(const ScratchDirectory& scratch, const std::vector<std::string>& diff_ids);

// The opposite: the command's records are there, or never will be.
void UnpinLayers(const ScratchDirectory& scratch);

struct Collected {
  std::vector<std::string> layers;  // diff ids whose EROFS file went
  uint64_t freed_bytes = 0;
};

// Removes layers, manifests and configurations that nothing keeps, and names that lead to no image.
// The store is locked. Nothing is removed when a record cannot be read.
Result<Collected> CollectGarbage(const StorePaths& paths, const ScratchDirectory& scratch,
                                 const InUse& in_use);

// At the end of a command: collects, and clears away what killed commands left. Takes the store's
// lock. Nothing is collected without `in_use`.
Status FinishChange(const StorePaths& paths, const ScratchDirectory& scratch,
                    const InUseReader& in_use);

}  // namespace hull::images
