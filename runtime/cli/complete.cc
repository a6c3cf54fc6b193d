#include "runtime/cli/complete.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include <CLI/CLI.hpp>

#include "images/store/store.h"
#include "runtime/cli/device_list.h"
#include "runtime/cli/option_text.h"
#include "runtime/containers.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

using Files = Completions::Files;

bool Has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Answers one question.
class Completer {
 public:
  explicit Completer(std::span<const std::string> words)
      : words_(words.first(words.size() - 1)), typed_(words.back()) {}

  Completions Run() {
    TakeGlobals();
    if (done_) return std::move(result_);
    if (at_ == words_.size()) {
      Names();
      return std::move(result_);
    }
    const FoundCommand found = FindCommand(words_.subspan(at_));
    if (found.command != nullptr && at_ + found.words <= words_.size()) {
      at_ += found.words;
      OfCommand(*found.command);
    } else if (const Family* family = FindFamily(words_[at_]);
               family != nullptr && at_ + 1 == words_.size()) {
      NamesOf(*family);
    }
    return std::move(result_);
  }

 private:
  void Add(std::string word, std::string_view meaning = {}) {
    if (word.starts_with(typed_)) {
      result_.candidates.push_back({std::move(word), std::string(meaning)});
    }
  }

  // Flags before the command; done_: one of them is being typed.
  void TakeGlobals() {
    for (; at_ < words_.size() && words_[at_].starts_with('-'); ++at_) {
      for (const auto& [name, value] :
           {std::pair("--root", &global_.root), std::pair("--state", &global_.state)}) {
        const std::string& word = words_[at_];
        if (word.starts_with(std::string(name) + "=")) *value = word.substr(word.find('=') + 1);
        if (word != name) continue;
        if (at_ + 1 < words_.size()) {
          *value = words_[++at_];
        } else {
          result_.files = Files::kDirectories;
          done_ = true;
          return;
        }
        break;
      }
    }
    if (at_ == words_.size() && typed_.starts_with('-')) {
      Add("--root", "Where images and containers are kept");
      Add("--state", "Where running sandboxes are");
      Add("--help", "Explain hull");
      Add("--version", "Show the version");
      done_ = true;
    }
  }

  void Names() {
    for (const Command* command : Commands()) {
      if (!Has(command->name, " ")) Add(std::string(command->name), command->summary);
    }
    for (const Family& family : Families()) Add(std::string(family.name), family.summary);
  }
  void NamesOf(const Family& family) {
    const std::string start = std::string(family.name) + " ";
    for (const Command* command : Commands()) {
      std::vector<std::string_view> names = AliasesOf(*command);
      names.insert(names.begin(), command->name);
      for (const std::string_view name : names) {
        if (name.starts_with(start)) Add(std::string(name.substr(start.size())), command->summary);
      }
    }
  }

  // at_ is behind its name.
  void OfCommand(const Command& command) {
    CLI::App app;
    PrepareApp(app);
    const Action unused = command.declare(app, GlobalOptions());
    size_t arguments = 0;
    bool only_arguments = false;
    for (; at_ < words_.size(); ++at_) {
      const std::string& word = words_[at_];
      const bool is_option = !only_arguments && word.size() > 1 && word.front() == '-';
      if (is_option && word == "--") {
        only_arguments = true;
      } else if (!is_option) {
        ++arguments;
        only_arguments = only_arguments || command.passes_rest;
      } else if (const CLI::Option* option = WantsValue(app, word)) {
        if (at_ + 1 == words_.size()) return Value(command, option->get_type_name(), "");
        ++at_;
      }
    }
    const size_t equals = typed_.find('=');
    if (!only_arguments && typed_.starts_with("--") && equals != std::string::npos) {
      const std::string name = typed_.substr(0, equals);
      const CLI::Option* option = app.get_option_no_throw(name);
      if (option != nullptr) Value(command, option->get_type_name(), name + "=");
    } else if (!only_arguments && typed_.starts_with('-')) {
      Options(command);
    } else {
      Argument(command, arguments);
    }
  }
  // The option whose value is the next word; nullptr: there is none.
  static const CLI::Option* WantsValue(const CLI::App& app, const std::string& word) {
    if (Has(word, "=")) return nullptr;
    const std::string name = word.starts_with("--") ? word : std::string("-") + word.back();
    const CLI::Option* option = app.get_option_no_throw(name);
    return option != nullptr && option->get_items_expected_max() != 0 ? option : nullptr;
  }

  void Options(const Command& command) {
    for (const OptionText& option : OptionsOf(command)) {
      if (!option.name.empty()) Add("--" + option.name, option.description);
      if (option.letter != '\0') Add(std::string("-") + option.letter, option.description);
    }
    Add("--help", "Explain this command");
  }

  // By the synopsis: "[OPTIONS] IMAGE [COMMAND] [ARG...]".
  void Argument(const Command& command, size_t index) {
    std::string_view synopsis = command.arguments.substr(0, command.arguments.find('\n'));
    std::string_view word;
    for (size_t i = 0; !synopsis.empty();) {
      const std::string_view next = synopsis.substr(0, synopsis.find(' '));
      synopsis.remove_prefix(std::min(next.size() + 1, synopsis.size()));
      if (next.empty() || next == "[OPTIONS]") continue;
      if (i++ == index || Has(next, "...")) {
        word = next;
        break;
      }
    }
    if (!word.empty()) Value(command, word, "");
  }

  // `kind`: a word of a synopsis, or what an option takes. `before`: "--name=".
  void Value(const Command& command, std::string_view kind, const std::string& before) {
    const bool with_path = Has(kind, "CONTAINER:");
    if (Has(kind, "CONTAINER")) Containers_(command.offered, before, with_path ? ":" : "");
    if (Has(kind, "IMAGE") || Has(kind, "REPOSITORY")) Images(before);
    if (kind == "DEVICE") return Devices(before);
    if (kind == "GPUS") return Add(before + "all", "Every display that is bound to vfio-pci");
    if (command.name == "help") return Names();
    if (Has(kind, "DIR")) {
      result_.files = Files::kDirectories;
    } else if (Has(kind, "FILE") || Has(kind, "PATH") || Has(kind, "COMMAND") || Has(kind, "ARG")) {
      result_.files = Files::kAny;
    }
    // "missing|always|never"
    while (!kind.empty()) {
      const std::string_view word = kind.substr(0, kind.find('|'));
      kind.remove_prefix(std::min(word.size() + 1, kind.size()));
      const bool is_word = std::all_of(word.begin(), word.end(),
                                       [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
      if (is_word && !word.empty() && word != "-") Add(before + std::string(word));
    }
  }

  std::optional<HostLayout> Layout() const {
    Result<HostLayout> layout = FindHostLayout(global_.root, global_.state);
    return layout ? std::optional(std::move(*layout)) : std::nullopt;
  }
  void Containers_(Offered offered, const std::string& before, std::string_view behind) {
    const std::optional<HostLayout> layout = Layout();
    if (!layout) return;
    const Result<std::vector<ContainerRecord>> all = Containers(*layout).List();
    if (!all) return;
    for (const ContainerRecord& record : *all) {
      const ContainerStatus status = record.state.status;
      const bool runs = status == ContainerStatus::kRunning;
      const bool is_paused = status == ContainerStatus::kPaused;
      if ((offered == Offered::kRunning && !runs) || (offered == Offered::kPaused && !is_paused) ||
          (offered == Offered::kNotRunning && (runs || is_paused))) {
        continue;
      }
      Add(before + record.name + std::string(behind), EscapeControl(record.image));
    }
  }
  // Those that can be passed as they are.
  void Devices(const std::string& before) {
    for (const DeviceView& view : ViewDevices(devices::HostTree::FromEnvironment())) {
      // What it was bound by force for does not count again.
      const bool is_free = std::all_of(view.obstacles.begin(), view.obstacles.end(),
                                       [](const auto& obstacle) { return obstacle.can_be_forced; });
      if (!is_free || view.State() != "bound") continue;
      const std::string address = view.device.address.ToString();
      const bool with_kind = typed_.starts_with(before + "p");
      Add(before + (with_kind ? "pci=" : "") + address, view.Name());
    }
  }
  void Images(const std::string& before) {
    const std::optional<HostLayout> layout = Layout();
    if (!layout) return;
    const Result<images::Store> store = images::Store::Open(layout->store_root);
    if (!store) return;
    const Result<std::vector<images::Image>> all = store->List();
    if (!all) return;
    for (const images::Image& image : *all) {
      for (const std::string& name : image.names) Add(before + images::FamiliarName(name));
    }
  }

  std::span<const std::string> words_;
  const std::string& typed_;
  size_t at_ = 0;
  bool done_ = false;
  GlobalOptions global_;
  Completions result_;
};

}  // namespace

Completions Complete(std::span<const std::string> words) {
  if (words.empty()) return {};
  return Completer(words).Run();
}

int PrintCompletions(std::span<const std::string> words) {
  if (!words.empty() && words.front() == "--") words = words.subspan(1);
  const Completions completions = Complete(words);
  std::string text;
  for (const Completions::Candidate& candidate : completions.candidates) {
    text += candidate.word;
    if (!candidate.meaning.empty()) text += "\t" + candidate.meaning;
    text += '\n';
  }
  switch (completions.files) {
    case Files::kNone:
      text += ":none\n";
      break;
    case Files::kAny:
      text += ":files\n";
      break;
    case Files::kDirectories:
      text += ":directories\n";
      break;
  }
  return WriteAll(STDOUT_FILENO, text) ? 0 : kExitFailed;
}

}  // namespace hull::cli
