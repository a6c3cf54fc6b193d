// hull completion: the scripts that make shells complete hull's command lines. They know nothing of
// the commands: they ask `hull __complete` (complete.h).
#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/completion_scripts.h"
#include "runtime/cli/output.h"
#include "vmm/base/escape.h"

namespace hull::cli {
namespace {

constexpr std::string_view kBash = R"bash(# bash completion for hull
_hull() {
    local line=${COMP_LINE:0:COMP_POINT} program=${COMP_WORDS[0]} files=:none
    local words typed before answer word
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    typed=${words[${#words[@]} - 1]}
    # readline replaces only what is behind the last of its word breaks
    before=${typed%"${typed##*[=:]}"}
    COMPREPLY=()
    while IFS= read -r answer; do
        word=${answer%%$'\t'*}
        case $word in
            :none | :files | :directories) files=$word ;;
            "$typed"*) COMPREPLY+=("${word#"$before"}") ;;
        esac
    done < <("$program" __complete -- "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]] && compopt -o nospace 2>/dev/null
    typed=${typed#"$before"}
    case $files in
        :files) compopt -o filenames 2>/dev/null
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$typed") ;;
        :directories) compopt -o filenames 2>/dev/null
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -d -- "$typed") ;;
    esac
    return 0
}
complete -F _hull hull
)bash";

constexpr std::string_view kZsh = R"zsh(#compdef hull
# zsh completion for hull
_hull() {
    local -a answers candidates
    local answer word meaning files=:none
    answers=("${(@f)$("${words[1]}" __complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for answer in "${answers[@]}"; do
        word=${answer%%$'\t'*}
        meaning=${answer#*$'\t'}
        case $word in
            :none|:files|:directories) files=$word ;;
            ?*) if [[ $word == $answer ]]; then
                    candidates+=("${word//:/\\:}")
                else
                    candidates+=("${word//:/\\:}:$meaning")
                fi ;;
        esac
    done
    (( $#candidates )) && _describe -t hull 'hull' candidates
    case $files in
        :files) _files ;;
        :directories) _files -/ ;;
    esac
    return 0
}
if [[ $funcstack[1] == _hull ]]; then
    _hull "$@"
else
    compdef _hull hull
fi
)zsh";

constexpr std::string_view kFish = R"fish(# fish completion for hull
function __hull_answers
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    $words[1] __complete -- $words[2..-1] "$typed" 2>/dev/null
end
function __hull_words
    __hull_answers | string match -v -r '^:(none|files|directories)$'
end
function __hull_wants_files
    __hull_answers | string match -q -r '^:(files|directories)$'
end
complete -c hull -f
complete -c hull -f -a '(__hull_words)'
complete -c hull -n __hull_wants_files -F
)fish";

int Print(const std::string& shell) {
  const std::string_view script = CompletionScript(shell);
  if (!script.empty()) return PrintResult(std::string(script));
  PrintError(MakeError(ErrorCode::kInvalidArgument,
                       "there is no completion for '{}': give bash, "
                       "zsh or fish",
                       EscapeControl(shell)));
  return kExitFailed;
}

Action DeclareCompletion(CLI::App&, const GlobalOptions&) {
  return [](const std::vector<std::string>& arguments) { return Print(arguments.front()); };
}

constexpr Example kExamples[] = {
    {"source <(hull completion bash)", "Complete hull's command lines in this bash"},
};

}  // namespace

std::string_view CompletionScript(std::string_view shell) {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  return {};
}

extern const Command kCompletion;
constinit const Command kCompletion = {
    .name = "completion",
    .group = Group::kSystem,
    .summary = "Print what makes a shell complete hull's command lines",
    .arguments = "bash|zsh|fish",
    .description = "An installed hull has these where the shells of Debian look for them.",
    .examples = kExamples,
    .declare = DeclareCompletion,
};

}  // namespace hull::cli
