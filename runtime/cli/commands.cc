#include <unistd.h>

#include <algorithm>
#include <array>

#include "runtime/cli/command.h"
#include "vmm/base/file.h"

namespace hull::cli {

// Each is at the end of its own file.
extern const Command kAttach;
extern const Command kCheck;
extern const Command kCommit;
extern const Command kCompletion;
extern const Command kContainerInspect;
extern const Command kContainerPrune;
extern const Command kCp;
extern const Command kCreate;
extern const Command kDeviceBind;
extern const Command kDeviceInspect;
extern const Command kDeviceLs;
extern const Command kDeviceUnbind;
extern const Command kDeviceVf;
extern const Command kDiff;
extern const Command kEvents;
extern const Command kExec;
extern const Command kHelp;
extern const Command kHistory;
extern const Command kImageInspect;
extern const Command kImagePrune;
extern const Command kImages;
extern const Command kInfo;
extern const Command kInspect;
extern const Command kKill;
extern const Command kLoad;
extern const Command kLogs;
extern const Command kPause;
extern const Command kPs;
extern const Command kPull;
extern const Command kRename;
extern const Command kRestart;
extern const Command kRm;
extern const Command kRmi;
extern const Command kRun;
extern const Command kSave;
extern const Command kStart;
extern const Command kStop;
extern const Command kSystemPrune;
extern const Command kTag;
extern const Command kTop;
extern const Command kUnpause;
extern const Command kVersion;
extern const Command kWait;

namespace {

// clang-format off
constexpr std::array kCommands = {
    // The common ones in this order, the others by name.
    &kRun,
    &kExec,
    &kPs,
    &kPull,
    &kImages,
    &kAttach,
    &kCheck,
    &kCommit,
    &kCompletion,
    &kContainerInspect,
    &kContainerPrune,
    &kCp,
    &kCreate,
    &kDeviceBind,
    &kDeviceInspect,
    &kDeviceLs,
    &kDeviceUnbind,
    &kDeviceVf,
    &kDiff,
    &kEvents,
    &kHelp,
    &kHistory,
    &kImageInspect,
    &kImagePrune,
    &kInfo,
    &kInspect,
    &kKill,
    &kLoad,
    &kLogs,
    &kPause,
    &kRename,
    &kRestart,
    &kRm,
    &kRmi,
    &kSave,
    &kStart,
    &kStop,
    &kSystemPrune,
    &kTag,
    &kTop,
    &kUnpause,
    &kVersion,
    &kWait,
};
// clang-format on

constexpr std::array kFamilies = {
    Family{"container", "Manage containers"},
    Family{"device", "Manage PCI devices that are passed to containers"},
    Family{"image", "Manage images"},
    Family{"system", "Manage hull"},
};

bool IsCalled(const Command& command, std::string_view name) {
  if (command.name == name) return true;
  const std::vector<std::string_view> aliases = AliasesOf(command);
  return std::find(aliases.begin(), aliases.end(), name) != aliases.end();
}

const Command* FindByName(std::string_view name) {
  const auto* const found = std::find_if(kCommands.begin(), kCommands.end(),
                                         [&](const Command* it) { return IsCalled(*it, name); });
  return found == kCommands.end() ? nullptr : *found;
}

}  // namespace

std::span<const Command* const> Commands() {
  return kCommands;
}

FoundCommand FindCommand(std::span<const std::string> words) {
  if (words.empty()) return {};
  if (FindFamily(words.front()) == nullptr) return {FindByName(words.front()), 1};
  if (words.size() == 1) return {};
  return {FindByName(words[0] + " " + words[1]), 2};
}

std::span<const Family> Families() {
  return kFamilies;
}

const Family* FindFamily(std::string_view name) {
  const auto* const found = std::find_if(kFamilies.begin(), kFamilies.end(),
                                         [&](const Family& family) { return family.name == name; });
  return found == kFamilies.end() ? nullptr : found;
}

std::vector<std::string_view> AliasesOf(const Command& command) {
  constexpr std::string_view kBetween = ", ";
  std::vector<std::string_view> aliases;
  std::string_view rest = command.aliases;
  while (!rest.empty()) {
    const size_t end = rest.find(kBetween);
    aliases.push_back(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + kBetween.size());
  }
  return aliases;
}

void PrintError(const Error& error) {
  std::string text = fmt::format("hull: {}\n", error.ToString());
  if (!error.hint().empty()) text += fmt::format("hint: {}\n", error.hint());
  // Nothing is left to tell anyone when standard error fails.
  static_cast<void>(WriteAll(STDERR_FILENO, text));
}

}  // namespace hull::cli
