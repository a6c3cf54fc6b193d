// Trees into tars and back, and trees and tars that mean harm. Without privileges.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "guest-agent/archive/confine.h"
#include "guest-agent/archive/file_entry.h"
#include "guest-agent/archive/in_root.h"
#include "guest-agent/archive/layer_changes.h"
#include "guest-agent/archive/tar_writer.h"
#include "guest-agent/archive/tree_sink.h"
#include "guest-agent/archive/tree_source.h"
#include "vmm/base/call_filter.h"
#include "vmm/base/file.h"

namespace hull::archive {
namespace {

namespace fs = std::filesystem;

class ArchiveTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "hull-archive.XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    for (const char* name : {"from", "to", "outside"}) fs::create_directory(directory_ / name);
  }
  void TearDown() override { fs::remove_all(directory_); }

  UniqueFd Open(const char* name) const {
    return OpenFile((directory_ / name).string(), O_RDONLY | O_DIRECTORY).value();
  }
  Result<std::string> Pack(const SourceRequest& request) const {
    std::string bytes;
    TarWriter tar([&bytes](std::span<const std::byte> data) -> Status {
      for (const std::byte byte : data) bytes.push_back(static_cast<char>(byte));
      return {};
    });
    EntryWriter entries(tar);
    const UniqueFd root = Open("from");
    HULL_TRY(AddTree(root.get(), request, entries));
    HULL_TRY(tar.Finish());
    return bytes;
  }
  static std::string TarOf(const std::vector<Entry>& list) {
    std::string bytes;
    TarWriter tar([&bytes](std::span<const std::byte> data) -> Status {
      for (const std::byte byte : data) bytes.push_back(static_cast<char>(byte));
      return {};
    });
    for (const Entry& entry : list) EXPECT_TRUE(tar.Begin(entry));
    EXPECT_TRUE(tar.Finish());
    return bytes;
  }
  Result<SinkReport> Unpack(const std::string& tar, Links links, bool distrust) const {
    SinkRequest request;
    request.path = ".";
    request.links = links;
    request.own_by_root = false;
    request.distrust = distrust;
    request.only = only_;
    size_t at = 0;
    const UniqueFd root = Open("to");
    return ExtractTree(root.get(), request, [&]() -> Result<std::span<const std::byte>> {
      const std::string_view part = std::string_view(tar).substr(at, 1000);
      at += part.size();
      return std::as_bytes(std::span(part.data(), part.size()));
    });
  }
  static Entry File(const std::string& path) {
    Entry entry;
    entry.path = path;
    entry.mode = S_IFREG | 0644;
    return entry;
  }
  static Entry Link(const std::string& path, const std::string& target, bool hard = false) {
    Entry entry = File(path);
    if (!hard) entry.mode = S_IFLNK | 0777;
    entry.link = target;
    entry.hard_link = hard;
    return entry;
  }
  std::string Read(const char* name) const {
    std::ifstream file(directory_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  fs::path directory_;
  std::string only_;
};

TEST_F(ArchiveTest, EverythingSurvivesTheWay) {
  const fs::path from = directory_ / "from/t";
  const std::string long_name(250, 'n');
  fs::create_directories(from / long_name / long_name);
  std::ofstream(from / "a") << "one";
  fs::create_hard_link(from / "a", from / "b");
  fs::create_symlink(std::string(300, 'x'), from / "l");
  std::ofstream(from / "\xff\xfe") << "bytes";
  std::ofstream(from / long_name / long_name / "deep") << "deep";
  ASSERT_EQ(::mkfifo((from / "p").c_str(), 0600), 0);
  ASSERT_EQ(::chmod((from / "a").c_str(), 0741), 0);
  std::ofstream(from / "holes") << "start";
  ASSERT_EQ(::truncate((from / "holes").c_str(), 50 << 20), 0);
  std::ofstream(from / "holes", std::ios::app) << "end";
  const timespec times[2] = {{0, UTIME_OMIT}, {-1, 500'000'000}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (from / "b").c_str(), times, 0), 0);

  const auto tar = Pack({.path = "/t", .name = "renamed"});
  ASSERT_TRUE(tar.has_value()) << tar.error().ToString();
  EXPECT_LT(tar->size(), 1u << 20) << "holes are not sent";
  const auto report = Unpack(*tar, Links::kRefused, true);
  ASSERT_TRUE(report.has_value()) << report.error().ToString();

  const fs::path to = directory_ / "to/renamed";
  EXPECT_EQ(Read("to/renamed/a"), "one");
  EXPECT_EQ(fs::hard_link_count(to / "a"), 2u);
  EXPECT_EQ(fs::read_symlink(to / "l"), std::string(300, 'x'));
  EXPECT_EQ(Read("to/renamed/\xff\xfe"), "bytes");
  EXPECT_TRUE(fs::exists(to / long_name / long_name / "deep"));
  EXPECT_TRUE(fs::is_fifo(to / "p"));
  struct stat status {};
  ASSERT_EQ(::stat((to / "l").parent_path().c_str(), &status), 0);
  const timespec sent = status.st_mtim;
  ASSERT_EQ(::stat(from.c_str(), &status), 0);
  EXPECT_EQ(sent.tv_sec, status.st_mtim.tv_sec);
  EXPECT_EQ(sent.tv_nsec, status.st_mtim.tv_nsec);
  ASSERT_EQ(::stat((to / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0741u);
  EXPECT_EQ(status.st_mtim.tv_sec, -1);
  ASSERT_EQ(::stat((to / "holes").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, (50 << 20) + 3);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
  EXPECT_EQ(Read("to/renamed/holes"), Read("from/t/holes"));
}

// The signal that ends a child which does `act` with the filter; 0: none.
int SignalOf(const std::function<void()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!AllowFilesOnly()) ::_exit(1);
    act();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST_F(ArchiveTest, OtherCallsThanThoseOnFilesAreItsEnd) {
  if (IsSanitized()) GTEST_SKIP() << "sanitizers make calls of their own";
  const UniqueFd to = Open("to");
  EXPECT_EQ(SignalOf([&] { ::mkdirat(to.get(), "made", 0700); }), 0);
  EXPECT_TRUE(fs::exists(directory_ / "to/made"));
  EXPECT_EQ(SignalOf([] { ::socket(AF_UNIX, SOCK_STREAM, 0); }), SIGSYS);
  EXPECT_EQ(SignalOf([] { ::execl("/bin/true", "true", nullptr); }), SIGSYS);
  EXPECT_EQ(SignalOf([] { ::fork(); }), SIGSYS);
  EXPECT_EQ(SignalOf([] { ::mount("x", "/", "tmpfs", 0, nullptr); }), SIGSYS);
  EXPECT_EQ(SignalOf([] { ::kill(::getppid(), 0); }), SIGSYS);
}

TEST_F(ArchiveTest, OnlyWhatWasAskedForIsMade) {
  std::ofstream(directory_ / "to/mine") << "mine";
  only_ = "f";
  EXPECT_TRUE(Unpack(TarOf({File("f/a"), Link("f/b", "f/a", true)}), Links::kRefused, true));
  for (const std::vector<Entry>& wrong : {std::vector<Entry>{File("g")},
                                          {File("f2")},
                                          {File("f/c"), File(".profile")},
                                          {},
                                          {Link("f/h", "mine", true)}}) {
    EXPECT_EQ(Unpack(TarOf(wrong), Links::kRefused, true).error().code(), ErrorCode::kCorrupt);
  }
  EXPECT_FALSE(fs::exists(directory_ / "to/.profile"));
  EXPECT_EQ(fs::hard_link_count(directory_ / "to/mine"), 1u);
}

TEST_F(ArchiveTest, LinksLeadNowhereElse) {
  std::ofstream(directory_ / "outside/secret") << "secret";
  std::ofstream(directory_ / "from/inside") << "inside";
  fs::create_symlink("../outside/secret", directory_ / "from/up");
  fs::create_symlink(directory_ / "outside", directory_ / "from/absolute");
  fs::create_symlink("/inside", directory_ / "from/rooted");
  fs::create_symlink("loop", directory_ / "from/loop");
  for (const char* path : {"up", "absolute/secret", "../outside/secret", "loop"}) {
    EXPECT_FALSE(Pack({.path = path, .follow_link = true, .name = "x"}).has_value()) << path;
  }
  EXPECT_TRUE(Pack({.path = "rooted", .follow_link = true, .name = "x"}).has_value());
  EXPECT_EQ(Pack({.path = "gone", .name = "x"}).error().code(), ErrorCode::kNotFound);
}

TEST_F(ArchiveTest, HostileTarsStayBelowTheirDirectory) {
  std::ofstream(directory_ / "outside/secret") << "secret";
  const std::string outside = (directory_ / "outside").string();
  Entry device = File("dev");
  device.mode = S_IFCHR | 0666;
  Entry privileged = File("suid");
  privileged.mode = S_IFREG | 06755;
  struct Case {
    const char* what;
    std::vector<Entry> entries;
    bool accepted;
  };
  for (const Case& test : {
           Case{"climbs", {File("../outside/new")}, false},
           Case{"climbs in the middle", {File("a/../../outside/new")}, false},
           Case{"through a link", {Link("l", outside), File("l/new")}, false},
           Case{"through a relative link", {Link("m", "../outside"), File("m/new")}, false},
           Case{"hard link outside", {Link("h", "../outside/secret", true)}, false},
           Case{"hard link through a link",
                {Link("n", outside), Link("i", "n/secret", true)},
                false},
           Case{"a file in a link's place", {Link("o", outside + "/secret"), File("o")}, true},
           Case{"an absolute name", {File("/top")}, true},
           Case{"a NUL for a name", {File(".")}, false},
           Case{"a device", {device}, true},
           Case{"set-user-id", {privileged}, true},
       }) {
    const auto report = Unpack(TarOf(test.entries), Links::kRefused, true);
    EXPECT_EQ(report.has_value(), test.accepted)
        << test.what << (report ? "" : ": " + report.error().ToString());
    EXPECT_FALSE(fs::exists(directory_ / "outside/new")) << test.what;
    EXPECT_EQ(Read("outside/secret"), "secret") << test.what;
    EXPECT_EQ(fs::hard_link_count(directory_ / "outside/secret"), 1u) << test.what;
  }
  EXPECT_TRUE(fs::exists(directory_ / "to/top"));
  EXPECT_FALSE(fs::exists(directory_ / "to/dev"));
  EXPECT_FALSE(fs::is_symlink(directory_ / "to/o"));
  struct stat status {};
  ASSERT_EQ(::stat((directory_ / "to/suid").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0755u);
}

TEST_F(ArchiveTest, DamagedTarsAreSaidToBe) {
  std::ofstream(directory_ / "from/f") << std::string(100'000, 'x');
  const std::string whole = Pack({.path = "f", .name = "f"}).value();
  for (const size_t size : {600u, 5'000u, 60'000u}) {
    EXPECT_EQ(Unpack(whole.substr(0, size), Links::kInRoot, false).error().code(),
              ErrorCode::kCorrupt)
        << size;
  }
  EXPECT_EQ(Unpack(std::string(5000, 'x'), Links::kInRoot, false).error().code(),
            ErrorCode::kCorrupt);
  EXPECT_TRUE(Unpack("", Links::kInRoot, false).has_value()) << "nothing is in it";
}

class Recorder final : public ChangesVisitor {
 public:
  Status Visit(const Change& change) override {
    text += fmt::format("{} {}\n", static_cast<char>(change.kind), change.path);
    return {};
  }
  std::string text;
};

TEST_F(ArchiveTest, ChangesAreWhatDiffersAndNoMountPoint) {
  for (const char* path : {"to/etc", "to/same", "from/etc", "from/same", "from/new/in", "from/proc",
                           "from/made/for/mount", "from/empty"}) {
    fs::create_directories(directory_ / path);
  }
  std::ofstream(directory_ / "to/etc/file") << "old";
  std::ofstream(directory_ / "from/etc/file") << "new";
  std::ofstream(directory_ / "from/etc/hosts") << "";
  std::ofstream(directory_ / "from/new/in/f") << "";
  // The same but for what they hold: times too.
  for (const char* name : {"etc", "same"}) {
    const timespec times[2] = {{1, 0}, {1, 0}};
    ::utimensat(AT_FDCWD, (directory_ / "from" / name).c_str(), times, 0);
    ::utimensat(AT_FDCWD, (directory_ / "to" / name).c_str(), times, 0);
  }
  const UniqueFd upper = Open("from");
  const UniqueFd lower = Open("to");
  Recorder recorder;
  ASSERT_TRUE(VisitChanges({.upper = upper.get(),
                            .lower = lower.get(),
                            .mount_points = {"/etc/hosts", "/proc", "/made/for/mount"}},
                           recorder));
  EXPECT_EQ(recorder.text, "A /empty\nC /etc\nC /etc/file\nA /new\nA /new/in\nA /new/in/f\n");
}

}  // namespace
}  // namespace hull::archive
