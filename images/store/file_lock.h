// Locks and scratch directories that end with the process that holds them, however it ends.
#pragma once

#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::images {

// A file locked by flock(2), gone when it is released. What a killed holder leaves is an empty file
// that nobody holds: the next one takes it over.
class FileLock {
 public:
  // Waits until nobody else holds `path`; its directory exists.
  static Result<FileLock> Acquire(const std::string& path);
  // Removes the files in `directory` that nobody holds.
  static void RemoveAbandoned(const std::string& directory);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  FileLock(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;  // empty: moved from
  UniqueFd fd_;
};

// A directory for one command's half-made files, removed with all in it at the end. It is locked
// while its owner lives: RemoveAbandoned tells it from what a killed command left.
class ScratchDirectory {
 public:
  // A new directory in `parent`.
  static Result<ScratchDirectory> Make(const std::string& parent);
  // Removes what killed commands left in `parent`. What cannot be removed now waits for the next
  // call.
  static void RemoveAbandoned(const std::string& parent);
  // Whether there is anything to remove, and the paths of those that somebody holds.
  struct Others {
    bool abandoned = false;
    std::vector<std::string> held;
  };
  static Others Look(const std::string& parent);

  ScratchDirectory(ScratchDirectory&& other) noexcept;
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;
  ~ScratchDirectory();

  const std::string& path() const { return path_; }

 private:
  ScratchDirectory(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;  // empty: moved from
  UniqueFd fd_;
};

}  // namespace hull::images
