#include "tests/fakes/vmm/hull_on_fake.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>

#include "images/store/testing/one_layer_image.h"
#include "vmm/base/file.h"

namespace hull {

namespace fs = std::filesystem;

namespace {

// kill -9 that returns when the processes are gone: until a processor has had time for them they
// hold what they held, and whoever looks sees them alive, which they are.
constexpr char kSlay[] =
    "slay() {\n"
    "  kill -9 \"$@\"\n"
    "  for p in \"$@\"; do\n"
    "    while s=$(sed 's/.*) //' /proc/$p/stat 2> /dev/null) && [[ $s != [ZX]* ]]; do sleep 0.01; "
    "done\n"
    "  done\n"
    "}\n";
// Processes whose parent was killed end a moment later.
constexpr int kLastWordsMs = 5000;
constexpr int kLookAgainMs = 20;

}  // namespace

std::string Slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void HullOnFake::SetUp() {
  std::string pattern = testing::TempDir() + "hull-run.XXXXXX";
  directory_ = mkdtemp(pattern.data());
  for (const char* file : {"vmlinux", "guest.erofs"}) std::ofstream(directory_ / file) << "x";
  fs::create_directory(directory_ / "files");
  MakeStore();
}

void HullOnFake::TearDown() {
  EXPECT_EQ(FilesLeft(), "");
  EXPECT_EQ(LeftAfter(kLastWordsMs), "");
  fs::remove_all(directory_);
}

std::string HullOnFake::LeftAfter(int limit_ms) const {
  std::string left = Leftovers();
  for (int waited = 0; waited < limit_ms && !left.empty(); waited += kLookAgainMs) {
    usleep(kLookAgainMs * 1000);
    left = Leftovers();
  }
  return left;
}

std::string HullOnFake::Leftovers() const {
  return FilesLeft() + ProcessesLeft();
}

std::string HullOnFake::FilesLeft() const {
  // What there may be in each place: events, the image's own layer, templates of disks.
  struct Place {
    const char* directory;
    const char* kept;
  };
  const std::array places = {Place{"run", "events.jsonl"},
                             Place{"store/containers", nullptr},
                             Place{"store/names", nullptr},
                             Place{"store/images/tmp", nullptr},
                             Place{"store/images/layers", "sha256-bbbb"},
                             Place{"store/scratch", "template-"}};
  std::string left;
  for (const Place& place : places) {
    if (!fs::exists(directory_ / place.directory)) continue;
    for (const auto& entry : fs::directory_iterator(directory_ / place.directory)) {
      const std::string name = entry.path().filename();
      const bool kept = place.kept != nullptr && name.starts_with(place.kept);
      if (!kept || name.ends_with(".new")) left += fmt::format("{}/{}\n", place.directory, name);
    }
  }
  return left;
}

std::string HullOnFake::ProcessesLeft() const {
  std::string left;
  // Whoever has this directory in its environment is of this test.
  const std::string mark = fmt::format("HULL_ROOT={}/store", directory_.string());
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string environment = Slurp(entry.path() / "environ");
    if (environment.find(mark) == std::string::npos) continue;
    left += fmt::format("process {} {}", pid, Slurp(entry.path() / "comm"));
  }
  return left;
}

// A store with one image "test:latest" of one layer, which is empty.
void HullOnFake::MakeStore() const {
  const images::StorePaths paths((directory_ / "store/images").string());
  const images::testing::OneLayerImage image =
      images::testing::WriteOneLayerImage(paths, 'a', R"(["echo","from the image"])");
  const std::string make =
      fmt::format("head -c 1024 /dev/zero | {} 1000000 100 3> {} 4> {} > /dev/null",
                  HULL_IMPORT_PROGRAM, paths.Layer(image.layer), paths.Recipe(image.layer));
  ASSERT_EQ(system(make.c_str()), 0);
}

Ended HullOnFake::Shell(const std::string& script, const std::string& fault) const {
  const std::string setting = fmt::format(
      "export HULL={0} HULL_VMM={1} HULL_ROOT={2}/store HULL_RUN={2}/run HULL_KERNEL={2}/vmlinux "
      "HULL_GUEST_ROOT={2}/guest.erofs FAKE_VMM={3} FAKE_FILES={2}/files; cd {2}; ",
      HULL_PROGRAM, FAKE_VMM_PROGRAM, directory_.string(), fault);
  std::ofstream(directory_ / "script") << setting << kSlay << script;
  const std::string command = fmt::format(
      "timeout 60 bash {0}/script > {0}/out 2> {0}/err < /dev/null", directory_.string());
  const int status = system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, Slurp(directory_ / "out"),
          Slurp(directory_ / "err")};
}

Ended HullOnFake::Run(const std::string& arguments, const std::string& fault) const {
  return Shell("$HULL run --rm --storage tmpfs " + arguments, fault);
}

}  // namespace hull
