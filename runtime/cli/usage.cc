#include "runtime/cli/usage.h"

#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "runtime/cli/help.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

int Say(std::string_view text, int exit_code) {
  static_cast<void>(WriteAll(STDERR_FILENO, text));
  return exit_code;
}

std::string Plural(size_t count) {
  return fmt::format("{} argument{}", count, count == 1 ? "" : "s");
}

// Docker's commands that hull has not, and what is to be done instead.
struct MissingCommand {
  std::string_view name;
  std::string_view reason;
};
constexpr std::string_view kNoImageBuilding =
    "hull builds no images: build them with another tool (podman build, buildah), then hull load "
    "or hull pull them";
constexpr std::string_view kNoSwarm = "hull runs containers on this host alone";
constexpr std::string_view kNoNetworks = "hull has no networks yet";
constexpr MissingCommand kMissing[] = {
    {"build", kNoImageBuilding},
    {"builder", kNoImageBuilding},
    {"buildx", kNoImageBuilding},
    {"checkpoint", "hull keeps no running machine on disk"},
    {"compose", "hull starts containers one by one: hull run"},
    {"context", "there is no daemon to choose; HULL_ROOT says where hull keeps things"},
    {"df", "hull ps -s and hull images show what containers and images have on disk"},
    {"export", "hull cp CONTAINER:/ - writes a container's files as a tar"},
    {"import", "hull load takes archives of images, and hull cp - CONTAINER:/ a tar of files"},
    {"login", "registries' credentials are skopeo's: skopeo login"},
    {"logout", "registries' credentials are skopeo's: skopeo logout"},
    {"manifest", "skopeo inspect --raw shows a manifest"},
    {"network", kNoNetworks},
    {"node", kNoSwarm},
    {"plugin", "hull has no plugins"},
    {"port", kNoNetworks},
    {"push", "hull save writes an archive, and skopeo copy puts it into a registry"},
    {"search", "hull asks no registry for what it has"},
    {"secret", kNoSwarm},
    {"service", kNoSwarm},
    {"stack", kNoSwarm},
    {"stats", "hull top shows the processes of a container, and what they use with -o rss,pcpu"},
    {"swarm", kNoSwarm},
    {"trust", "what images are trusted is said in containers-policy.json(5)"},
    {"update", "limits are a container's for life: hull create another one"},
    {"volume", "hull has no volumes yet"},
};

std::string_view WhyMissing(std::string_view command) {
  const auto* const found =
      std::find_if(std::begin(kMissing), std::end(kMissing),
                   [&](const MissingCommand& missing) { return missing.name == command; });
  return found == std::end(kMissing) ? std::string_view() : found->reason;
}

// Letters to insert, drop, change or swap with their neighbour.
size_t Distance(std::string_view from, std::string_view to) {
  std::vector<size_t> before_last;
  std::vector<size_t> last;
  std::vector<size_t> now(to.size() + 1);
  std::iota(now.begin(), now.end(), size_t{0});
  for (size_t i = 1; i <= from.size(); ++i) {
    before_last = std::move(last);
    last = now;
    now[0] = i;
    for (size_t j = 1; j <= to.size(); ++j) {
      const size_t change = last[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, change});
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
        now[j] = std::min(now[j], before_last[j - 2] + 1);
      }
    }
  }
  return now.back();
}

}  // namespace

ArgumentCount CountArguments(std::string_view synopsis) {
  synopsis = synopsis.substr(0, synopsis.find('\n'));
  ArgumentCount count;
  std::ptrdiff_t brackets = 0;  // open ones: "[ps OPTIONS]" are two words, both optional
  while (!synopsis.empty()) {
    const std::string_view word = synopsis.substr(0, synopsis.find(' '));
    synopsis.remove_prefix(std::min(word.size() + 1, synopsis.size()));
    if (word.empty() || word == "[OPTIONS]") continue;
    if (brackets == 0 && !word.starts_with('[')) ++count.least;
    brackets +=
        std::count(word.begin(), word.end(), '[') - std::count(word.begin(), word.end(), ']');
    if (word.find("...") != std::string_view::npos) {
      count.most = ArgumentCount::kAnyNumber;
    } else if (count.most != ArgumentCount::kAnyNumber) {
      ++count.most;
    }
  }
  return count;
}

std::string CheckArgumentCount(const Command& command, size_t count) {
  const auto [least, most] = CountArguments(command.arguments);
  if (count >= least && count <= most) return {};
  const std::string who = fmt::format("'hull {}'", command.name);
  if (most == 0) return fmt::format("{} accepts no arguments", who);
  if (most == ArgumentCount::kAnyNumber) {
    return fmt::format("{} requires at least {}", who, Plural(least));
  }
  if (least == most) return fmt::format("{} requires {}", who, Plural(least));
  if (least == 0) return fmt::format("{} requires at most {}", who, Plural(most));
  return fmt::format("{} requires at least {} and at most {}", who, least, Plural(most));
}

int WrongFlag(const Command& command, std::string_view message) {
  return Say(fmt::format("hull: {}\n\n{}\nRun 'hull {} --help' for more information\n",
                         EscapeControl(message), UsageLines(command), command.name),
             kExitWrongFlag);
}

int WrongArguments(const Command& command, std::string_view message) {
  return Say(fmt::format("hull: {}\n\n{}\nRun 'hull {} --help' for more information\n", message,
                         UsageLines(command), command.name),
             kExitFailed);
}

int WrongGlobalFlag(std::string_view word) {
  return Say(fmt::format("hull: unknown flag: {}\n\n"
                         "Usage:  hull [--root DIR] [--state DIR] COMMAND\n\n"
                         "Run 'hull --help' for more information\n",
                         EscapeControl(word)),
             kExitWrongFlag);
}

int UnknownCommand(std::span<const std::string> words) {
  const Family* family = FindFamily(words.front());
  std::string typed = words.front();
  if (family != nullptr && words.size() > 1) typed += " " + words[1];
  const std::string_view reason = WhyMissing(std::string_view(typed).substr(typed.rfind(' ') + 1));
  if (!reason.empty()) {
    return Say(fmt::format("hull: there is no hull {}: {}\n", typed, reason), kExitFailed);
  }
  const std::string nearest = NearestCommand(typed);
  const std::string hint =
      nearest.empty() ? "" : fmt::format("\nDid you mean 'hull {}'?\n", nearest);
  return Say(fmt::format("hull: unknown command: hull {}\n{}\n"
                         "Run 'hull {}--help' for more information\n",
                         EscapeControl(typed), hint,
                         family == nullptr ? "" : fmt::format("{} ", family->name)),
             kExitFailed);
}

std::string NearestCommand(std::string_view typed) {
  // Longer words have more to mistype; of a short one too much would be near.
  constexpr size_t kFar = 3;
  constexpr size_t kLongestTyped = 64;
  if (typed.size() > kLongestTyped) return {};
  std::string_view nearest;
  size_t least = std::min(kFar, typed.size() / 2 + 1);
  const auto weigh = [&](std::string_view name) {
    const size_t distance = Distance(typed, name);
    if (distance >= least) return;
    least = distance;
    nearest = name;
  };
  for (const Command* command : Commands()) weigh(command->name);
  for (const Command* command : Commands()) {
    for (const std::string_view alias : AliasesOf(*command)) weigh(alias);
  }
  return std::string(nearest);
}

}  // namespace hull::cli
