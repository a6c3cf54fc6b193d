// hull cp, diff and commit with an agent that lies: what it answers is a table, and the whole of
// hull's side takes it. Nothing outside the place of the copy may change, nothing of it may reach
// the terminal raw, and the store stays as it was.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "guest-agent/protocol/agent.pb.h"
#include "images/import/testing/tar_builder.h"
#include "tests/fakes/vmm/hull_on_fake.h"

namespace hull {
namespace {

namespace fs = std::filesystem;
using agent::v1::ArchiveEnd;
using images::testing::TarBuilder;
using images::testing::TarEntry;

constexpr size_t kChunkBytes = 65536;

std::string Framed(std::string_view data) {
  const uint32_t size = htonl(static_cast<uint32_t>(data.size()));
  // SAFETY: the bytes of an integer.
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + std::string(data);
}

std::string Chunks(std::string_view data) {
  std::string all;
  for (; !data.empty(); data.remove_prefix(std::min(kChunkBytes, data.size()))) {
    all += Framed(data.substr(0, kChunkBytes));
  }
  return all;
}

std::string Ended(std::string_view data, const ArchiveEnd& end = {}) {
  return Chunks(data) + Framed("") + Framed(end.SerializeAsString());
}

ArchiveEnd Failure(int code, const std::string& message) {
  ArchiveEnd end;
  end.set_code(code);
  end.set_message(message);
  return end;
}

ArchiveEnd Warning(const std::string& text, int times) {
  ArchiveEnd end;
  for (int i = 0; i < times; ++i) end.add_warnings(text);
  return end;
}

// `build` adds entries to a tar whose top entry is the one that was asked for.
std::string TarOf(const std::function<void(TarBuilder&)>& build) {
  TarBuilder tar;
  build(tar);
  return tar.Finish();
}

struct Lie {
  const char* name;
  std::string answer;
  bool fails;
};

std::vector<Lie> CopyLies() {
  const std::string good = TarOf([](TarBuilder& tar) { tar.File("f", "text"); });
  std::string cut = good.substr(0, 600);
  std::string damaged = good;
  damaged[150] = 'x';
  const auto tree = [](const std::function<void(TarBuilder&)>& build) {
    return Ended(TarOf([&](TarBuilder& tar) {
      tar.Directory("f");
      build(tar);
    }));
  };
  const std::string outside = "../victim";
  return {
      {"nothing", "", true},
      {"no_end", Chunks(good), true},
      {"half_a_chunk", Chunks(good).substr(0, 700), true},
      {"chunk_too_long", Framed(std::string(kChunkBytes + 1, 'x')), true},
      {"huge_length", "\xff\xff\xff\xff", true},
      {"huge_end", Chunks(good) + Framed("") + "\x7f\xff\xff\xff", true},
      {"end_is_noise", Chunks(good) + Framed("") + Framed("\xff\xff\xff\xff\xff"), true},
      {"no_tar", Ended("no tar at all"), true},
      {"empty_tar", Ended(""), true},
      {"cut_tar", Ended(cut), true},
      {"damaged_header", Ended(damaged), true},
      {"failure_with_controls", Ended("", Failure(13, "no \x1b[31m reason\n\x07")), true},
      {"warning_with_controls", Ended(good, Warning("odd \x1b[31m name", 3)), false},
      {"a_million_warnings", Ended(good, Warning("w", 1'000'000)), true},
      {"climbs", tree([](TarBuilder& tar) { tar.File("f/../../victim", "lost"); }), true},
      {"absolute", tree([](TarBuilder& tar) { tar.File("/etc/hull-was-here", "lost"); }), true},
      {"link_then_through",
       tree([&](TarBuilder& tar) { tar.Link("f/l", "../..").File("f/l/victim", "lost"); }), true},
      {"absolute_link_then_through",
       tree([&](TarBuilder& tar) { tar.Link("f/l", "/tmp").File("f/l/hull-was-here", "lost"); }),
       true},
      {"directory_becomes_link", tree([&](TarBuilder& tar) {
         tar.Directory("f/d").Link("f/d", "../..").File("f/d/victim", "lost");
       }),
       true},
      {"hard_link_out",
       tree([&](TarBuilder& tar) { tar.HardLink("f/h", outside).File("f/h", "lost"); }), true},
      {"hard_link_absolute", tree([&](TarBuilder& tar) { tar.HardLink("f/h", "/etc/passwd"); }),
       true},
      {"hard_link_through_link",
       tree([&](TarBuilder& tar) { tar.Link("f/l", "../..").HardLink("f/h", "f/l/victim"); }),
       true},
      {"device", tree([&](TarBuilder& tar) {
         tar.Add({.path = "f/sda", .mode = 0060666, .device_major = 8});
       }),
       false},
      {"set_user_id",
       tree([&](TarBuilder& tar) { tar.Add({.path = "f/su", .mode = 0104755, .content = "x"}); }),
       false},
      {"capability", tree([&](TarBuilder& tar) {
         tar.Add({.path = "f/cap",
                  .mode = 0100755,
                  .content = "x",
                  .xattrs = {{"security.capability", std::string("\x01\0\0\x02\xff", 5)}}});
       }),
       false},
      {"name_with_controls", tree([&](TarBuilder& tar) {
         tar.File("f/\x1b[31m\n", "x").Add({.path = "f/\x1b[32m", .mode = 0060666});
       }),
       false},
      {"another_name", Ended(TarOf([](TarBuilder& tar) { tar.File("g", "text"); })), true},
      {"a_second_name", tree([](TarBuilder& tar) { tar.File(".bashrc", "text"); }), true},
      {"long_name", tree([](TarBuilder& tar) { tar.File("f/" + std::string(5000, 'n')); }), true},
      {"deep", tree([](TarBuilder& tar) {
         std::string path = "f";
         for (int i = 0; i < 1500; ++i) path += "/d";
         tar.File(path);
       }),
       false},
  };
}

class HullHostileArchiveTest : public HullOnFake {
 protected:
  // cp, diff or commit, of a container whose agent answers `answer`.
  hull::Ended With(const std::string& answer, const std::string& script) const {
    std::ofstream(directory_ / "answer", std::ios::binary) << answer;
    return Shell(
        "echo text > files/f; mkdir -p in; echo mine > victim; export FAKE_ARCHIVE=$PWD/answer\n"
        "$HULL run -d --storage tmpfs --name r1 test sleep 60 > /dev/null\n" +
        script + "\ncode=$?; $HULL rm -f r1 > /dev/null; exit $code");
  }
  void ExpectNoHarm(const hull::Ended& ended) const {
    EXPECT_EQ(Slurp(directory_ / "victim"), "mine\n");
    EXPECT_FALSE(fs::exists("/tmp/hull-was-here"));
    EXPECT_FALSE(fs::exists("/etc/hull-was-here"));
    EXPECT_THAT(ended.out + ended.err, testing::Not(testing::HasSubstr("\x1b")));
    EXPECT_THAT(ended.out + ended.err, testing::Not(testing::HasSubstr("\x07")));
    EXPECT_LT(ended.err.size(), 100'000u);
  }
};

class HullHostileCopyTest : public HullHostileArchiveTest,
                            public testing::WithParamInterface<Lie> {};

TEST_P(HullHostileCopyTest, HarmsNothing) {
  const hull::Ended ended = With(GetParam().answer, "timeout 20 $HULL cp r1:/f in/");
  EXPECT_EQ(ended.exit_code, GetParam().fails ? 1 : 0) << ended.out << ended.err;
  EXPECT_EQ(ended.err.empty(), false);
  ExpectNoHarm(ended);
  for (const auto& entry : fs::recursive_directory_iterator(directory_ / "in")) {
    struct stat status {};
    ASSERT_EQ(lstat(entry.path().c_str(), &status), 0);
    EXPECT_FALSE(S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode)) << entry.path();
    EXPECT_EQ(status.st_mode & (S_ISUID | S_ISGID), 0u) << entry.path();
  }
  // Into one file's place: the same answers.
  ExpectNoHarm(With(GetParam().answer, "timeout 20 $HULL cp r1:/f in/f2"));
  // And when files are sent, the end is all that is believed.
  ExpectNoHarm(With(GetParam().answer, "timeout 20 $HULL cp victim r1:/"));
}
INSTANTIATE_TEST_SUITE_P(Lies, HullHostileCopyTest, testing::ValuesIn(CopyLies()),
                         [](const auto& lie) { return lie.param.name; });

class HullHostileDiffTest : public HullHostileArchiveTest,
                            public testing::WithParamInterface<Lie> {};

TEST_P(HullHostileDiffTest, IsSaid) {
  const hull::Ended ended = With(GetParam().answer, "timeout 20 $HULL diff r1");
  EXPECT_EQ(ended.exit_code, GetParam().fails ? 1 : 0) << ended.out << ended.err;
  EXPECT_EQ(ended.err.empty(), !GetParam().fails) << ended.err;
  ExpectNoHarm(ended);
}
INSTANTIATE_TEST_SUITE_P(
    Lies, HullHostileDiffTest,
    testing::Values(Lie{"nothing", "", true}, Lie{"no_end", Chunks(std::string("A/a\0", 4)), true},
                    Lie{"no_nul", Ended("A/a"), true},
                    Lie{"another_letter", Ended(std::string("X/a\0", 4)), true},
                    Lie{"no_path", Ended(std::string("A\0", 2)), true},
                    Lie{"endless_record", Ended(std::string(1 << 20, 'A')), true},
                    Lie{"controls", Ended(std::string("A/\x1b[31m\n\x07\0", 10)), false},
                    Lie{"failure_with_controls", Ended("", Failure(2, "\x1b[31m")), true},
                    Lie{"huge_length", "\xff\xff\xff\xff", true}),
    [](const auto& lie) { return lie.param.name; });

class HullHostileCommitTest : public HullHostileArchiveTest,
                              public testing::WithParamInterface<Lie> {};

TEST_P(HullHostileCommitTest, LeavesTheStoreAsItWas) {
  const hull::Ended ended = With(GetParam().answer,
                                 "before=$(find store/images -type f | sort | xargs sha256sum)\n"
                                 "timeout 20 $HULL commit r1 k:1; code=$?\n"
                                 "[ $code = 0 ] || [ \"$(find store/images -type f | sort | xargs "
                                 "sha256sum)\" = \"$before\" ] "
                                 "|| echo changed\n"
                                 "[ $code != 0 ] || $HULL rmi k:1 > /dev/null; (exit $code)");
  EXPECT_EQ(ended.exit_code, GetParam().fails ? 1 : 0) << ended.out << ended.err;
  EXPECT_THAT(ended.out, testing::Not(testing::HasSubstr("changed")));
  ExpectNoHarm(ended);
}
INSTANTIATE_TEST_SUITE_P(
    Lies, HullHostileCommitTest,
    testing::Values(
        Lie{"nothing", "", true}, Lie{"no_end", Chunks(std::string(1024, '\0')), true},
        Lie{"no_tar", Ended(std::string(2000, 'x')), true},
        Lie{"cut_tar", Ended(TarOf([](TarBuilder& tar) { tar.File("f"); }).substr(0, 513)), true},
        Lie{"climbs", Ended(TarOf([](TarBuilder& tar) { tar.File("../../victim", "lost"); })),
            true},
        Lie{"link_out", Ended(TarOf([](TarBuilder& tar) {
              tar.Link("l", "../../..").File("l/victim", "lost");
            })),
            true},
        Lie{"failure_with_controls", Ended("", Failure(13, "\x1b[31m")), true},
        Lie{"a_million_warnings", Ended(std::string(1024, '\0'), Warning("\x1b", 1'000'000)), true},
        Lie{"warning_with_controls", Ended(std::string(1024, '\0'), Warning("\x1b", 3)), false}),
    [](const auto& lie) { return lie.param.name; });

}  // namespace
}  // namespace hull
