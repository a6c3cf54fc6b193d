// hull: the command line. Takes the flags before the command, then hands over to the command alone.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "runtime/cli/command.h"
#include "runtime/cli/complete.h"
#include "runtime/cli/help.h"
#include "runtime/cli/invoke.h"
#include "runtime/cli/usage.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull::cli {
namespace {

void Print(int fd, std::string_view text) {
  static_cast<void>(WriteAll(fd, text));
}

// "--name VALUE" or "--name=VALUE" at `index`; moves index to its last word.
bool TakeGlobal(const std::vector<std::string>& words, size_t& index, std::string_view name,
                std::string& value) {
  const std::string_view word(words[index]);
  if (word == name && index + 1 < words.size()) {
    value = words[++index];
    return true;
  }
  if (!word.starts_with(name) || word.substr(name.size(), 1) != "=") return false;
  value = std::string(word.substr(name.size() + 1));
  return true;
}

// With one of the three standard descriptors closed, the next file opened would be taken for it.
void OpenStandardDescriptors() {
  int fd = 0;
  do {
    fd = open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

bool AsksForHelp(std::string_view word) {
  return word == "--help" || word == "-h";
}

// "hull container" and what follows, when it is no command.
int RunFamily(const Family& family, std::span<const std::string> words) {
  if (words.size() > 1 && !AsksForHelp(words[1])) return UnknownCommand(words);
  Print(STDOUT_FILENO, FamilyHelp(family));
  return 0;
}

int Main(const std::vector<std::string>& words) {
  OpenStandardDescriptors();
  log::Start("hull", log::Level::kWarn);
  // A closed pipe is an error of one write, not the end of hull and its virtual machine.
  signal(SIGPIPE, SIG_IGN);
  GlobalOptions global;
  size_t index = 0;
  for (; index < words.size() && words[index].starts_with('-'); ++index) {
    const std::string& word = words[index];
    if (AsksForHelp(word)) {
      Print(STDOUT_FILENO, GeneralHelp());
      return 0;
    }
    if (word == "--version" || word == "-v") {
      Print(STDOUT_FILENO, "hull version " HULL_VERSION "\n");
      return 0;
    }
    if (TakeGlobal(words, index, "--root", global.root)) continue;
    if (TakeGlobal(words, index, "--state", global.state)) continue;
    return WrongGlobalFlag(word);
  }
  const std::span<const std::string> rest = std::span(words).subspan(index);
  if (rest.empty()) {
    Print(STDERR_FILENO, GeneralHelp());
    return 0;
  }
  if (rest.front() == "__complete") return PrintCompletions(rest.subspan(1));
  const FoundCommand found = FindCommand(rest);
  if (found.command != nullptr) {
    const std::span<const std::string> behind = rest.subspan(found.words);
    return Invoke(*found.command, global, {behind.begin(), behind.end()});
  }
  if (const Family* family = FindFamily(rest.front())) return RunFamily(*family, rest);
  return UnknownCommand(rest);
}

}  // namespace
}  // namespace hull::cli

int main(int argc, char** argv) {
  const int exit_code = hull::cli::Main({argv + 1, argv + argc});
  // Threads may still be blocked reading the user's input; nothing of theirs is worth waiting for.
  _exit(exit_code);
}
