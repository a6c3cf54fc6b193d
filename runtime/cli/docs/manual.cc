#include "runtime/cli/docs/manual.h"

#include <algorithm>

#include "runtime/cli/help.h"
#include "runtime/cli/option_text.h"

namespace hull::cli {
namespace {

// Of the texts, not of the build: pages are the same whenever they are made.
constexpr std::string_view kDate = "2026-11-22";

// Text for roff: nothing in it is a request or an escape. `font`: "B", "I" or none.
std::string Escape(std::string_view text) {
  std::string out;
  if (text.starts_with('.') || text.starts_with('\'')) out += "\\&";
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '`':
        out += "\\(ga";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '~':
        out += "\\(ti";
        break;
      case '"':
        out += "\\(dq";
        break;
      default:
        out += c;
    }
  }
  return out;
}
std::string Font(char font, std::string_view text) {
  return fmt::format("\\f{}{}\\fR", font, Escape(text));
}

std::string Title(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return fmt::format(".TH {} 1 {} \"hull {}\" \"hull\"\n.nh\n", upper, kDate, HULL_VERSION);
}

// A sentence a line, as roff likes it; paragraphs apart.
std::string Paragraphs(std::string_view text) {
  std::string out;
  for (bool first = true; !text.empty(); first = false) {
    const size_t end = text.find("\n\n");
    std::string paragraph(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
    std::replace(paragraph.begin(), paragraph.end(), '\n', ' ');
    if (!first) out += ".PP\n";
    std::string_view rest = paragraph;
    while (!rest.empty()) {
      const size_t stop = rest.find(". ");
      const std::string_view sentence =
          rest.substr(0, stop == std::string_view::npos ? stop : stop + 1);
      out += Escape(sentence) + "\n";
      rest.remove_prefix(std::min(sentence.size() + 1, rest.size()));
    }
  }
  return out;
}

std::string Synopsis(const Command& command) {
  std::string out = ".SH SYNOPSIS\n";
  std::string_view rest = command.arguments;
  bool first = true;
  do {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (!first) out += ".br\n";
    first = false;
    out += Font('B', fmt::format("hull {}", command.name));
    if (!line.empty()) out += " " + Escape(line);
    out += "\n";
  } while (!rest.empty());
  return out;
}

std::string Options(const Command& command) {
  std::string out;
  for (const OptionText& option : OptionsOf(command)) {
    out += ".TP\n";
    if (option.letter != '\0') out += Font('B', fmt::format("-{}", option.letter));
    if (option.letter != '\0' && !option.name.empty()) out += ", ";
    if (!option.name.empty()) out += Font('B', "--" + option.name);
    if (!option.value.empty()) out += " " + Font('I', option.value);
    out += "\n" + Escape(option.description) + ".\n";
    if (option.repeats) out += "May be given more than once.\n";
  }
  return out.empty() ? out : ".SH OPTIONS\n" + out;
}

std::string Examples(const Command& command) {
  std::string out;
  for (const Example& example : command.examples) {
    out += fmt::format(".PP\n{}:\n.PP\n.nf\n.RS 4\n{}\n.RE\n.fi\n", Escape(example.meaning),
                       Escape(example.command));
  }
  return out.empty() ? out : ".SH EXAMPLES\n" + out.substr(std::string_view(".PP\n").size());
}

}  // namespace

std::string ManualName(const Command& command) {
  std::string name = fmt::format("hull-{}", command.name);
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

std::string CommandManual(const Command& command) {
  const std::string name = ManualName(command);
  std::string out = Title(name);
  out += fmt::format(".SH NAME\n{} \\- {}\n", Escape(name), Escape(command.summary));
  out += Synopsis(command);
  out += ".SH DESCRIPTION\n";
  out += command.description.empty() ? Escape(command.summary) + ".\n"
                                     : Paragraphs(command.description);
  if (!command.aliases.empty()) {
    std::string names;
    for (const std::string_view alias : AliasesOf(command)) {
      names += (names.empty() ? "" : ", ") + Font('B', fmt::format("hull {}", alias));
    }
    out += fmt::format(".PP\nThe same: {}.\n", names);
  }
  out += Options(command);
  out += Examples(command);
  out += ".SH EXIT STATUS\n";
  for (const ExitCode& code : command.exit_codes) {
    out += fmt::format(".TP\n{}\n{}.\n", Font('B', code.code), Escape(code.meaning));
  }
  return out + fmt::format(".SH SEE ALSO\n.BR hull (1)\n");
}

std::string GeneralManual() {
  std::string out = Title("hull");
  out +=
      ".SH NAME\nhull \\- run containers, each in its own small virtual machine\n"
      ".SH SYNOPSIS\n\\fBhull\\fR [\\fB\\-\\-root\\fR \\fIDIR\\fR] [\\fB\\-\\-state\\fR "
      "\\fIDIR\\fR] "
      "\\fICOMMAND\\fR ...\n"
      ".SH DESCRIPTION\nEach container runs in a virtual machine of its own, and in it as an "
      "ordinary container.\nThe commands and their options are docker's.\nThere is no daemon.\n";
  for (const Group group : kGroups) {
    out += fmt::format(".SS {}\n", GroupHeading(group));
    for (const Command* command : Commands()) {
      if (command->group != group) continue;
      out += fmt::format(".TP\n.BR {} (1)\n{}.\n", Escape(ManualName(*command)),
                         Escape(command->summary));
    }
  }
  return out +
         ".SH OPTIONS\n"
         ".TP\n\\fB\\-\\-root\\fR \\fIDIR\\fR\nWhere images and containers are kept.\n"
         ".TP\n\\fB\\-\\-state\\fR \\fIDIR\\fR\nWhere running sandboxes are.\n"
         ".TP\n\\fB\\-v\\fR, \\fB\\-\\-version\\fR\nShow the version.\n"
         ".SH ENVIRONMENT\n"
         ".TP\n\\fBHULL_ROOT\\fR\nInstead of \\fI/var/lib/hull\\fR, or, for one who is not root, "
         "\\fI$XDG_DATA_HOME/hull\\fR (\\fI\\(ti/.local/share/hull\\fR); \\fB\\-\\-root\\fR wins.\n"
         ".TP\n\\fBHULL_RUN\\fR\nInstead of \\fI/run/hull\\fR, or, for one who is not root, "
         "\\fI$XDG_RUNTIME_DIR/hull\\fR; \\fB\\-\\-state\\fR wins.\n"
         ".TP\n\\fBHULL_VMM\\fR, \\fBHULL_KERNEL\\fR, \\fBHULL_GUEST_ROOT\\fR\n"
         "The program, the kernel and the root of the virtual machines, instead of those beside "
         "\\fBhull\\fR.\n"
         ".SH FILES\n"
         ".TP\n\\fI/var/lib/hull/images\\fR\nThe images' layers and configurations.\n"
         ".TP\n\\fI/var/lib/hull/containers\\fR\nA directory for each container: "
         "\\fIcontainer.json\\fR, its writable layer, its log.\n"
         ".TP\n\\fI/run/hull\\fR\nA directory for each running sandbox, and the events.\n";
}

}  // namespace hull::cli
