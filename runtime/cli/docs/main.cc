// hull_docs DIRECTORY: writes the manual pages (man1/) and the completions (bash, zsh, fish) into a
// directory. Runs while hull is built.
#include <cstdio>
#include <string>

#include "runtime/cli/completion_scripts.h"
#include "runtime/cli/docs/manual.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

Status WriteDocs(const std::string& directory) {
  const std::string manual = directory + "/man1";
  HULL_TRY(MakeDirectories(manual, 0755));
  HULL_TRY(WriteFileAtomically(manual + "/hull.1", GeneralManual(), 0644));
  for (const Command* command : Commands()) {
    HULL_TRY(WriteFileAtomically(fmt::format("{}/{}.1", manual, ManualName(*command)),
                                 CommandManual(*command), 0644));
  }
  // As the shells of Debian want them to be called.
  for (const auto& [shell, file] :
       {std::pair("bash", "hull"), std::pair("zsh", "_hull"), std::pair("fish", "hull.fish")}) {
    const std::string folder = fmt::format("{}/{}", directory, shell);
    HULL_TRY(MakeDirectories(folder, 0755));
    HULL_TRY(
        WriteFileAtomically(fmt::format("{}/{}", folder, file), CompletionScript(shell), 0644));
  }
  return {};
}

}  // namespace
}  // namespace hull::cli

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: hull_docs DIRECTORY\n", stderr);
    return 2;
  }
  const hull::Status status = hull::cli::WriteDocs(argv[1]);
  if (!status) std::fprintf(stderr, "hull_docs: %s\n", status.error().ToString().c_str());
  return status ? 0 : 1;
}
