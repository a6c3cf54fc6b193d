// What can come next on a command line: asked by the shells' completion scripts, answered from the
// same descriptions as the help.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/cli/command.h"

namespace hull::cli {

struct Completions {
  struct Candidate {
    std::string word;
    std::string meaning;  // may be empty
  };
  std::vector<Candidate> candidates;
  // What the shell is to offer beside them.
  enum class Files { kNone, kAny, kDirectories } files = Files::kNone;
};

// `words`: all behind "hull"; the last one is being typed. Containers and images are looked up.
Completions Complete(std::span<const std::string> words);

// "word\tmeaning" lines, at the end ":none", ":files" or ":directories": what the scripts read.
// `words` may begin with "--".
int PrintCompletions(std::span<const std::string> words);

}  // namespace hull::cli
