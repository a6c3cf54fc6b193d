#include "images/import/tar_layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <string>

#include "images/digest/digest.h"
#include "images/import/below_reader.h"
#include "images/import/erofs_format.h"
#include "images/import/recipe.h"
#include "images/import/testing/erofs_reader.h"
#include "images/import/testing/tar_builder.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull::images {
namespace {

using testing::ErofsFile;
using ::testing::HasSubstr;
using testing::ReadErofs;
using testing::TarBuilder;

UniqueFd MemoryFile(std::string_view content) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  EXPECT_TRUE(WriteAll(fd.get(), content));
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string ReadAll(int fd) {
  struct stat info = {};
  EXPECT_EQ(::fstat(fd, &info), 0);
  std::string content(static_cast<size_t>(info.st_size), '\0');
  EXPECT_EQ(::pread(fd, content.data(), content.size(), 0), info.st_size);
  return content;
}

// The digest of what recipe and layer give.
std::string Rebuilt(int recipe, int image) {
  Sha256 hash;
  ::lseek(recipe, 0, SEEK_SET);
  const Status status = RebuildTar(recipe, image, [&](std::span<const std::byte> piece) {
    hash.Update(piece);
    return Status();
  });
  return status ? hash.Finish() : status.error().ToString();
}

struct Converted {
  Result<TarLayerReport> report;
  std::string image;
};

Converted Convert(std::string_view blob, const TarLimits& limits = {}) {
  const UniqueFd in = MemoryFile(blob);
  const UniqueFd out = MemoryFile("");
  const UniqueFd recipe = MemoryFile("");
  Result<TarLayerReport> report = ConvertTarLayer(in.get(), out.get(), recipe.get(), limits);
  if (report) {
    EXPECT_EQ(Rebuilt(recipe.get(), out.get()), report->diff_id);
  }
  return {std::move(report), ReadAll(out.get())};
}

std::map<std::string, ErofsFile> ConvertAndRead(std::string_view blob) {
  const Converted converted = Convert(blob);
  EXPECT_TRUE(converted.report) << converted.report.error().ToString();
  if (!converted.report) return {};
  return ReadErofs(converted.image);
}

std::string ErrorOf(std::string_view blob, ErrorCode code, const TarLimits& limits = {}) {
  const Converted converted = Convert(blob, limits);
  if (converted.report) return "no error";
  EXPECT_EQ(converted.report.error().code(), code) << converted.report.error().ToString();
  return converted.report.error().ToString();
}

TEST(TarLayer, KeepsEveryKindOfFile) {
  TarBuilder tar;
  tar.Add({.path = "etc/",
           .mode = 0040750,
           .uid = 3,
           .gid = 4,
           .mtime_s = 1'700'000'000,
           .mtime_ns = 5});
  tar.Add({.path = "etc/file",
           .mode = 0104755,
           .content = "text",
           .uid = 70000,
           .gid = 80000,
           .mtime_s = -5});
  tar.Add({.path = "etc/link", .mode = 0120644, .target = "../no/where"});
  tar.HardLink("second", "etc/file");
  tar.Add({.path = "dev/sda", .mode = 0060660, .device_major = 259, .device_minor = 300});
  tar.Add({.path = "dev/null", .mode = 0020666, .device_major = 1, .device_minor = 3});
  tar.Add({.path = "fifo", .mode = 0010600});
  tar.File("empty", "");
  const auto files = ConvertAndRead(tar.Finish());
  EXPECT_EQ(files.at("etc").mode, 0040750U);
  EXPECT_EQ(files.at("etc").uid, 3U);
  EXPECT_EQ(files.at("etc").gid, 4U);
  EXPECT_EQ(files.at("etc").mtime_s, 1'700'000'000);
  EXPECT_EQ(files.at("etc").mtime_ns, 5U);
  const ErofsFile& file = files.at("etc/file");
  EXPECT_EQ(file.mode, 0104755U);
  EXPECT_EQ(file.content, "text");
  EXPECT_EQ(file.uid, 70000U);
  EXPECT_EQ(file.mtime_s, -5);
  EXPECT_EQ(file.links, 2U);
  EXPECT_EQ(files.at("second").nid, file.nid);
  EXPECT_EQ(files.at("etc/link").content, "../no/where");
  EXPECT_EQ(files.at("etc/link").mode, 0120777U) << "whatever the tar says";
  EXPECT_EQ(files.at("fifo").mode, 0010600U);
  EXPECT_EQ(files.at("empty").content, "");
  // linux/kdev_t.h: minor bits 0-7, major bits 8-19, minor bits 8-19 above.
  EXPECT_EQ(files.at("dev/null").device, (1U << 8) | 3U);
  EXPECT_EQ(files.at("dev/sda").device, (300U & 0xff) | (259U << 8) | ((300U & ~0xffU) << 12));
  EXPECT_EQ(files.at("dev").mode, 0040755U) << "made because of the files in it";
  EXPECT_EQ(files.at("").links, 4U) << "etc, dev";
}

TEST(TarLayer, KeepsExtendedAttributesAndDropsOverlayfsOwn) {
  TarBuilder tar;
  tar.Add({.path = "f",
           .xattrs = {{"security.capability", std::string("\1\0\0\2\0", 5)},
                      {"user.long", std::string(5000, 'v')},
                      {"user.empty", ""},
                      {"system.posix_acl_access", "acl"},
                      {"trusted.overlay.redirect", "/etc/shadow"},
                      {"user.overlay.opaque", "y"},
                      {"nonsense", "x"}}});
  const auto files = ConvertAndRead(tar.Finish());
  const std::map<std::string, std::string> expected = {
      {"security.capability", std::string("\1\0\0\2\0", 5)},
      {"system.posix_acl_access", "acl"},
      {"user.empty", ""},
      {"user.long", std::string(5000, 'v')}};
  EXPECT_EQ(files.at("f").xattrs, expected);
}

// bsdtar writes SCHILY.xattr and LIBARCHIVE.xattr for each attribute.
TEST(TarLayer, AttributeThatIsThereTwiceIsOne) {
  TarBuilder tar;
  tar.Add({.path = "f", .xattrs = {{"user.a", "value"}, {"user.b", "other"}}});
  const std::string bytes = tar.Finish();
  ASSERT_THAT(bytes, HasSubstr("SCHILY.xattr.user.a"));
  ASSERT_THAT(bytes, HasSubstr("LIBARCHIVE.xattr.user.a"));
  const std::string image = Convert(bytes).image;
  size_t count = 0;
  for (size_t at = image.find("value"); at != std::string::npos; at = image.find("value", at + 1))
    ++count;
  EXPECT_EQ(count, 1U);
  EXPECT_EQ(ReadErofs(image).at("f").xattrs.size(), 2U);
}

// An ACL in the tar's own form is not kept, as docker and umoci have it; the mode is the header's.
TEST(TarLayer, ModeOfAFileWithAnAclIsTheHeaders) {
  TarBuilder tar;
  tar.Add({.path = "f", .mode = 0100664, .acl_group = 4});
  const std::string bytes = tar.Finish();
  ASSERT_THAT(bytes, HasSubstr("SCHILY.acl.access"));
  EXPECT_EQ(ConvertAndRead(bytes).at("f").mode, 0100664U);
}

TEST(TarLayer, AttributesMayFillWhatErofsHasForThem) {
  TarBuilder tar;
  tar.Add({.path = "f",
           .xattrs = {{"user.a", std::string(65'535, 'a')},
                      {"user.b", std::string(65'535, 'b')},
                      {"user.c", std::string(65'535, 'c')}}})
      .Add({.path = "g", .xattrs = {{"user.d", std::string(65'535, 'd')}}});
  const auto files = ConvertAndRead(tar.Finish());
  EXPECT_EQ(files.at("f").xattrs.at("user.c"), std::string(65'535, 'c'));
  EXPECT_EQ(files.at("g").xattrs.at("user.d"), std::string(65'535, 'd'));
  TarBuilder more;
  more.Add({.path = "f",
            .xattrs = {{"user.a", std::string(65'535, 'a')},
                       {"user.b", std::string(65'535, 'b')},
                       {"user.c", std::string(65'535, 'c')},
                       {"user.d", std::string(65'535, 'd')}}});
  EXPECT_THAT(ErrorOf(more.Finish(), ErrorCode::kCorrupt), HasSubstr("extended attributes"));
}

TEST(TarLayer, KeepsNamesAsBytes) {
  const std::string names[] = {"caf\xc3\xa9",
                               "nfd-e\xcc\x81",
                               "bad-\xff\xfe",
                               std::string(255, 'n'),
                               "a\nb",
                               "\x01",
                               std::string(200, 'd') + "/" + std::string(250, '\xe9')};
  TarBuilder tar;
  for (const std::string& name : names) tar.File(name, name);
  const auto files = ConvertAndRead(tar.Finish());
  for (const std::string& name : names) EXPECT_EQ(files.at(name).content, name);
}

TEST(TarLayer, WhiteoutBecomesOverlayfsWhiteout) {
  TarBuilder tar;
  tar.File("a/.wh.gone", "");
  tar.File("a/.wh..wh.plnk", "");
  const auto files = ConvertAndRead(tar.Finish());
  EXPECT_EQ(files.at("a/gone").mode, 0020000U);
  EXPECT_EQ(files.at("a/gone").device, 0U);
  EXPECT_EQ(files.count("a/.wh.gone"), 0U);
  EXPECT_EQ(files.count("a/.wh..wh.plnk"), 0U);
  EXPECT_FALSE(files.at("a").xattrs.contains("trusted.overlay.opaque"));
}

TEST(TarLayer, WhiteoutHidesNothingOfItsOwnLayer) {
  for (const bool whiteout_first : {true, false}) {
    TarBuilder tar;
    if (whiteout_first) tar.File(".wh.file", "").File(".wh.dir", "");
    tar.File("file", "new").File("dir/inside", "new");
    if (!whiteout_first) tar.File(".wh.file", "").File(".wh.dir", "");
    const auto files = ConvertAndRead(tar.Finish());
    EXPECT_EQ(files.at("file").content, "new");
    EXPECT_EQ(files.at("dir/inside").content, "new");
    // What lower layers have in dir stays hidden.
    EXPECT_EQ(files.at("dir").xattrs.at("trusted.overlay.opaque"), "y");
  }
}

TEST(TarLayer, OpaqueMarkerMakesDirectoryOpaque) {
  TarBuilder tar;
  tar.Directory("d").File("d/.wh..wh..opq", "").File("d/new");
  const auto files = ConvertAndRead(tar.Finish());
  EXPECT_EQ(files.at("d").xattrs.at("trusted.overlay.opaque"), "y");
  EXPECT_EQ(files.count("d/.wh..wh..opq"), 0U);
}

// Overlayfs hides a whiteout in a directory that no other layer has only if this says so.
TEST(TarLayer, DirectoryWithWhiteoutsSaysThatThereAreSome) {
  TarBuilder tar;
  tar.File("d/.wh.gone").File("d/own").File("e/.wh..wh..opq").File("e/.wh.gone").File("f/own");
  const auto files = ConvertAndRead(tar.Finish());
  EXPECT_TRUE(files.at("d").xattrs.contains("trusted.overlay.origin"));
  EXPECT_TRUE(files.at("e").xattrs.contains("trusted.overlay.origin"));
  EXPECT_EQ(files.at("e").xattrs.at("trusted.overlay.opaque"), "y");
  EXPECT_TRUE(files.at("f").xattrs.empty());
}

// As docker's aufs driver wrote them.
TEST(TarLayer, AufsLinksAndMetadataAreUnderstood) {
  TarBuilder tar;
  tar.Directory(".wh..wh.plnk", 0700)
      .File(".wh..wh.plnk/12.34", "content")
      .File(".wh..wh.aufs")
      .HardLink("one", ".wh..wh.plnk/12.34")
      .HardLink("two", ".wh..wh.plnk/12.34")
      .File(".wh.first")
      .HardLink("d/.wh.second", ".wh.first");
  const auto files = ConvertAndRead(tar.Finish());
  EXPECT_EQ(files.at("one").content, "content");
  EXPECT_EQ(files.at("one").nid, files.at("two").nid);
  EXPECT_EQ(files.at("one").links, 2U);
  EXPECT_EQ(files.at("d/second").mode & S_IFMT, static_cast<uint32_t>(S_IFCHR));
  for (const auto& [path, file] : files) EXPECT_THAT(path, ::testing::Not(HasSubstr(".wh.")));
}

TEST(TarLayer, LaterEntryReplacesEarlier) {
  TarBuilder tar;
  tar.File("x", "one").File("x", "two");
  tar.Directory("d", 0700).File("d/f").Directory("d", 0711);
  tar.File("was-dir/f").File("was-dir", "file");
  tar.File("was-file").File("kept", "k").HardLink("kept-too", "kept").File("kept", "other");
  tar.Link("was-link", "d").Directory("was-link").File("was-link/inside");
  const auto files = ConvertAndRead(tar.Finish());
  EXPECT_EQ(files.at("x").content, "two");
  EXPECT_EQ(files.at("d").mode, 0040711U);
  EXPECT_EQ(files.count("d/f"), 1U);
  EXPECT_EQ(files.at("was-dir").content, "file");
  EXPECT_EQ(files.count("was-dir/f"), 0U);
  EXPECT_EQ(files.at("kept-too").content, "k");
  EXPECT_EQ(files.at("kept-too").links, 1U);
  EXPECT_EQ(files.at("kept").content, "other");
  EXPECT_EQ(files.count("was-link/inside"), 1U);
  EXPECT_EQ(files.count("d/inside"), 0U);
}

TEST(TarLayer, NameSpellingsMeanTheSamePlace) {
  TarBuilder tar;
  tar.File("./a").File("/b").File("c//d").File("e/./f").File("g/../h");
  const auto files = ConvertAndRead(tar.Finish());
  for (const char* path : {"a", "b", "c/d", "e/f", "h"}) EXPECT_EQ(files.count(path), 1U) << path;
}

TEST(TarLayer, FollowsLinksInsideTheImage) {
  TarBuilder tar;
  tar.Directory("usr/lib").Link("lib", "usr/lib").File("lib/a", "1");
  tar.Link("abs", "/usr").File("abs/lib/b", "2");
  tar.Link("usr/lib/up", "../share").File("usr/lib/up/c", "3");
  const auto files = ConvertAndRead(tar.Finish());
  EXPECT_EQ(files.at("usr/lib/a").content, "1");
  EXPECT_EQ(files.at("usr/lib/b").content, "2");
  EXPECT_EQ(files.at("usr/share/c").content, "3");
  EXPECT_EQ(files.at("lib").mode, 0120777U);
}

struct HostileCase {
  const char* name;
  void (*fill)(TarBuilder& tar);
  const char* message;
};

class TarLayerHostile : public ::testing::TestWithParam<HostileCase> {};

TEST_P(TarLayerHostile, IsRefused) {
  TarBuilder tar;
  GetParam().fill(tar);
  EXPECT_THAT(ErrorOf(tar.Finish(), ErrorCode::kCorrupt), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, TarLayerHostile,
    ::testing::Values(
        HostileCase{"climbs", [](TarBuilder& tar) { tar.File("../etc/passwd"); }, "climbs out"},
        HostileCase{"climbs_from_within", [](TarBuilder& tar) { tar.File("a/../../b"); },
                    "climbs out"},
        HostileCase{"climbs_absolute", [](TarBuilder& tar) { tar.File("/../b"); }, "climbs out"},
        HostileCase{"directory_climbs",
                    [](TarBuilder& tar) {
                      tar.Directory("x/../..");
                      tar.Directory("../y");
                    },
                    "climbs out"},
        HostileCase{"through_link", [](TarBuilder& tar) { tar.Link("l", "../..").File("l/x"); },
                    "climbs out"},
        HostileCase{"through_two_links",
                    [](TarBuilder& tar) { tar.Link("a", "b/..").Link("b", "..").File("a/x"); },
                    "climbs out"},
        HostileCase{"link_loop",
                    [](TarBuilder& tar) { tar.Link("a", "b").Link("b", "a").File("a/x"); },
                    "too many symbolic links"},
        HostileCase{"through_file", [](TarBuilder& tar) { tar.File("f").File("f/x"); },
                    "not a directory"},
        HostileCase{"through_device",
                    [](TarBuilder& tar) {
                      tar.Add({.path = "d", .mode = 0020666, .device_major = 1}).File("d/x");
                    },
                    "not a directory"},
        HostileCase{"hard_link_outside",
                    [](TarBuilder& tar) { tar.HardLink("l", "../../etc/shadow"); }, "climbs out"},
        HostileCase{"hard_link_that_cannot_be_below",
                    [](TarBuilder& tar) { tar.HardLink("l", "etc/sha\ndow"); }, "not in the layer"},
        HostileCase{"hard_link_to_directory",
                    [](TarBuilder& tar) { tar.Directory("d").HardLink("l", "d"); },
                    "is a directory"},
        HostileCase{"hard_link_through_link",
                    [](TarBuilder& tar) { tar.Link("up", "..").HardLink("l", "up/up/etc/shadow"); },
                    "climbs out"},
        HostileCase{"root_as_file", [](TarBuilder& tar) { tar.File("."); },
                    "makes the root something else"},
        HostileCase{"long_name", [](TarBuilder& tar) { tar.File(std::string(256, 'n')); },
                    "a name of 256 bytes"},
        HostileCase{"long_path",
                    [](TarBuilder& tar) {
                      std::string path;
                      for (int i = 0; i < 2050; ++i) path += "d/";
                      tar.File(path + "f");
                    },
                    "is a path of"},
        HostileCase{"whiteout_of_parent", [](TarBuilder& tar) { tar.File("a/.wh..."); },
                    "whiteout of no file"},
        HostileCase{"whiteout_of_nothing", [](TarBuilder& tar) { tar.File("a/.wh."); },
                    "whiteout of no file"},
        HostileCase{"huge_xattr",
                    [](TarBuilder& tar) {
                      tar.Add({.path = "f", .xattrs = {{"user.a", std::string(65'536, 'a')}}});
                    },
                    "an extended attribute with a name of 6 and a value of 65536"},
        HostileCase{"huge_device",
                    [](TarBuilder& tar) {
                      tar.Add(
                          {.path = "d", .mode = 0020666, .device_major = 4096, .device_minor = 0});
                    },
                    "is a device that cannot be"},
        HostileCase{"negative_owner",
                    [](TarBuilder& tar) { tar.Add({.path = "f", .uid = 0xffffffffLL}); },
                    "an owner that cannot be"}),
    [](const auto& hostile) { return std::string(hostile.param.name); });

// The tar's first file, with the size in its header (POSIX ustar: octal, bytes 124 to 134) made
// `size`.
std::string ClaimSize(std::string tar, const std::string& name, uint64_t size) {
  size_t header = 0;
  while (tar.compare(header, name.size() + 1, name.c_str(), name.size() + 1) != 0) header += 512;
  tar.replace(header + 124, 11, fmt::format("{:011o}", size));
  tar.replace(header + 148, 8, 8, ' ');  // the checksum is that with blanks in its place
  unsigned sum = 0;
  for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(tar[header + i]);
  return tar.replace(header + 148, 7, fmt::format("{:06o}", sum) + '\0');
}

TEST(TarLayer, HugeClaimedSizeIsRefusedBeforeAnythingIsWritten) {
  TarBuilder tar;
  tar.File("huge", "");
  const Converted converted =
      Convert(ClaimSize(tar.Finish(), "huge", uint64_t{7} << 30), {.bytes = uint64_t{1} << 30});
  ASSERT_FALSE(converted.report);
  EXPECT_EQ(converted.report.error().code(), ErrorCode::kExhausted)
      << converted.report.error().ToString();
  EXPECT_TRUE(converted.image.empty());
}

TEST(TarLayer, TarOverTheLimitIsRefused) {
  TarBuilder tar;
  tar.File("f", std::string(1 << 20, 'x'));
  EXPECT_THAT(ErrorOf(testing::Gzip(tar.Finish()), ErrorCode::kExhausted, {.bytes = 1 << 19}),
              HasSubstr("bytes allowed"));
}

TEST(TarLayer, BombOfZerosIsRefused) {
  std::string zeros = testing::Gzip(std::string(size_t{64} << 20, '\0'));
  EXPECT_LT(zeros.size(), size_t{100} << 10);
  EXPECT_THAT(ErrorOf(zeros, ErrorCode::kExhausted, {.bytes = 32 << 20}),
              HasSubstr("unpacks to more"));
}

TEST(TarLayer, TooManyEntriesAreRefused) {
  TarBuilder tar;
  for (int i = 0; i < 100; ++i) tar.File(std::to_string(i));
  EXPECT_THAT(ErrorOf(tar.Finish(), ErrorCode::kExhausted, {.entries = 50}),
              HasSubstr("more than 50 entries"));
}

TEST(TarLayer, CompressionsGiveTheSameImageAndDiffId) {
  TarBuilder builder;
  builder.File("f", std::string(100'000, 'x') + "end").Directory("d").Link("l", "f");
  const std::string tar = builder.Finish();
  const Converted plain = Convert(tar);
  ASSERT_TRUE(plain.report);
  EXPECT_EQ(plain.report->diff_id, DigestOf(tar));
  // Gzip files may be written in pieces, zstd in frames, one behind the other.
  const std::string_view front = std::string_view(tar).substr(0, 5000);
  const std::string_view back = std::string_view(tar).substr(5000);
  for (const std::string& blob :
       {testing::Gzip(tar), testing::Zstd(tar), testing::Xz(tar), testing::Bzip2(tar),
        testing::Gzip(front) + testing::Gzip(back), testing::Zstd(front) + testing::Zstd(back),
        testing::Xz(front) + std::string(8, '\0') + testing::Xz(back),
        testing::Bzip2(front) + testing::Bzip2(back)}) {
    const Converted converted = Convert(blob);
    ASSERT_TRUE(converted.report) << converted.report.error().ToString();
    EXPECT_EQ(converted.report->diff_id, DigestOf(tar));
    EXPECT_EQ(converted.report->blob_digest, DigestOf(blob));
    EXPECT_EQ(converted.report->blob_bytes, blob.size());
    EXPECT_EQ(converted.image, plain.image);
  }
}

TEST(TarLayer, TruncatedBlobIsRefusedAtEveryLength) {
  TarBuilder builder;
  for (int i = 0; i < 20; ++i)
    builder.File("f" + std::to_string(i), std::string(700, static_cast<char>('a' + i)));
  const std::string tar = builder.Finish();
  for (const std::string& blob :
       {testing::Gzip(tar), testing::Zstd(tar), testing::Xz(tar), testing::Bzip2(tar)}) {
    for (size_t size = 7; size < blob.size(); size += 13) {
      const Converted converted = Convert(blob.substr(0, size));
      ASSERT_FALSE(converted.report) << size << " of " << blob.size();
      EXPECT_EQ(converted.report.error().code(), ErrorCode::kCorrupt);
    }
  }
  // A plain tar cut inside a file; cut between files its digest tells.
  EXPECT_THAT(ErrorOf(tar.substr(0, 512 + 300), ErrorCode::kCorrupt), HasSubstr("ends early"));
}

TEST(TarLayer, DamagedByteIsFoundOrChangesTheDigests) {
  TarBuilder builder;
  builder.File("file", "some content that is long enough to be compressed, compressed, compressed");
  const std::string tar = builder.Finish();
  const std::string blob = testing::Gzip(tar);
  for (size_t at = 0; at < blob.size(); ++at) {
    std::string damaged = blob;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    const Converted converted = Convert(damaged);
    if (!converted.report) continue;
    EXPECT_NE(converted.report->blob_digest, DigestOf(blob));
  }
}

TEST(TarLayer, DamageIsSaidOfEveryCompression) {
  const std::string tar = TarBuilder().File("f", "content").Finish();
  EXPECT_THAT(ErrorOf("BZh91AY&SY rest of it", ErrorCode::kCorrupt), HasSubstr("bzip2 data"));
  EXPECT_THAT(ErrorOf(std::string("\xfd"
                                  "7zXZ\0 and no more of it",
                                  24),
                      ErrorCode::kCorrupt),
              HasSubstr("xz data"));
  for (const std::string& blob : {testing::Gzip(tar), testing::Xz(tar), testing::Bzip2(tar)}) {
    EXPECT_THAT(ErrorOf(blob + "something else", ErrorCode::kCorrupt),
                HasSubstr("followed by something else"));
  }
}

TEST(TarLayer, GarbageIsNoTar) {
  EXPECT_THAT(ErrorOf(std::string(4096, 'q'), ErrorCode::kCorrupt), HasSubstr("tar is damaged"));
}

TEST(TarLayer, EmptyTarIsAnEmptyLayer) {
  const std::string empty(1024, '\0');
  const Converted converted = Convert(empty);
  ASSERT_TRUE(converted.report) << converted.report.error().ToString();
  EXPECT_EQ(ReadErofs(converted.image).size(), 1U);
}

TEST(TarLayer, LargeDirectoryAndDeepTreeReadBack) {
  TarBuilder tar;
  std::string deep;
  for (int i = 0; i < 500; ++i) deep += "d/";
  tar.File(deep + "bottom");
  for (int i = 0; i < 5000; ++i) tar.File("many/file-" + std::to_string(i), std::to_string(i));
  const auto files = ConvertAndRead(tar.Finish());
  EXPECT_EQ(files.count(deep + "bottom"), 1U);
  for (int i = 0; i < 5000; ++i)
    EXPECT_EQ(files.at("many/file-" + std::to_string(i)).content, std::to_string(i));
}

TEST(TarLayer, LinkTargetsOfEveryLengthReadBack) {
  TarBuilder tar;
  for (size_t size = 1; size < 4096; size += 17)
    tar.Link("l" + std::to_string(size), std::string(size, 't'));
  const auto files = ConvertAndRead(tar.Finish());
  for (size_t size = 1; size < 4096; size += 17) {
    EXPECT_EQ(files.at("l" + std::to_string(size)).content, std::string(size, 't'));
  }
}

TEST(TarLayer, ZerosTakeNoSpace) {
  TarBuilder tar;
  std::string content(size_t{8} << 20, '\0');
  content += "end";
  tar.File("zeros", content);
  const UniqueFd in = MemoryFile(tar.Finish());
  const UniqueFd out = MemoryFile("");
  ASSERT_TRUE(ConvertTarLayer(in.get(), out.get(), -1, {}));
  struct stat info = {};
  ASSERT_EQ(::fstat(out.get(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, 64 << 10);
  EXPECT_EQ(ReadErofs(ReadAll(out.get())).at("zeros").content, content);
}

TEST(TarLayer, ReportsDirectoriesWithoutEntry) {
  TarBuilder tar;
  tar.File("a/b/c").Directory("a/b").Directory("./");
  const Converted converted = Convert(tar.Finish());
  ASSERT_TRUE(converted.report);
  EXPECT_THAT(converted.report->implicit_directories, ::testing::ElementsAre("a"));
}

TEST(TarLayer, HardLinksToLayersBelowAreToldAndLeftOut) {
  TarBuilder tar;
  tar.File("own").HardLink("e/g", "./d//f").HardLink("e/h", "e/g").HardLink("e/i", "d/f");
  const Converted converted = Convert(tar.Finish());
  ASSERT_TRUE(converted.report) << converted.report.error().ToString();
  EXPECT_EQ(converted.report->lower_links, std::vector<std::string>{"d/f"});
  const auto files = ReadErofs(converted.image);
  EXPECT_TRUE(files.contains("own"));
  EXPECT_FALSE(files.contains("e/g") || files.contains("e/h"));
}

// As images/store/lower_links.cc writes it.
std::string BelowRecord(const std::string& path, const std::string& data) {
  erofs::DiskInode inode = {};
  inode.mode = 0100640;
  inode.uid = 7;
  const BelowRecordHead head{static_cast<uint32_t>(path.size()), sizeof inode, data.size()};
  std::string record(sizeof head + sizeof inode, '\0');
  std::memcpy(record.data(), &head, sizeof head);
  std::memcpy(record.data() + sizeof head, &inode, sizeof inode);
  return record.insert(sizeof head, path) + data;
}

Converted ConvertOnto(const std::string& below, TarBuilder& tar) {
  const UniqueFd in = MemoryFile(tar.Finish());
  const UniqueFd out = MemoryFile("");
  const UniqueFd below_fd = MemoryFile(below);
  Result<TarLayerReport> report = ConvertTarLayer(in.get(), out.get(), -1, {}, below_fd.get());
  return {std::move(report), ReadAll(out.get())};
}

TEST(TarLayer, HardLinksToFilesBelowAreMade) {
  TarBuilder tar;
  tar.HardLink("e/g", "d/f").HardLink("e/h", "e/g");
  const Converted made = ConvertOnto(BelowRecord("d/f", "text"), tar);
  ASSERT_TRUE(made.report) << made.report.error().ToString();
  auto files = ReadErofs(made.image);
  EXPECT_EQ(files["d/f"].content, "text");
  EXPECT_EQ(files["d/f"].uid, 7u);
  EXPECT_EQ(files["d/f"].links, 3u);
  EXPECT_EQ(files["d/f"].nid, files["e/g"].nid);
  EXPECT_EQ(files["d/f"].nid, files["e/h"].nid);
  EXPECT_EQ(made.report->implicit_directories, (std::vector<std::string>{"", "d", "e"}));
}

TEST(TarLayer, WhiteoutsHideFilesBelowThatWereLinkedTo) {
  for (const char* whiteout : {"d/.wh.f", ".wh.d", "d/.wh..wh..opq"}) {
    TarBuilder tar;
    tar.HardLink("e/g", "d/f").File(whiteout, "");
    const Converted made = ConvertOnto(BelowRecord("d/f", "text"), tar);
    ASSERT_TRUE(made.report) << made.report.error().ToString();
    auto files = ReadErofs(made.image);
    EXPECT_EQ(files["e/g"].content, "text") << whiteout;
    EXPECT_EQ(files["e/g"].links, 1u) << whiteout;
    EXPECT_FALSE(files.contains("d/f") && S_ISREG(files["d/f"].mode)) << whiteout;
    EXPECT_EQ(S_ISCHR(files["d"].mode), std::string_view(whiteout) == ".wh.d") << whiteout;
  }
}

TEST(TarLayer, DamagedFilesBelowAreRefused) {
  const std::string good = BelowRecord("d/f", "text");
  std::string long_head = good;
  long_head[6] = 0x7f;
  std::string long_path = good;
  long_path[3] = 0x7f;
  for (const std::string& below :
       {good.substr(0, 10), good.substr(0, 50), good.substr(0, good.size() - 1), long_head,
        long_path, BelowRecord("../f", "x"), BelowRecord("d/.wh.f", "x")}) {
    TarBuilder tar;
    const Converted made = ConvertOnto(below, tar.File("x"));
    ASSERT_FALSE(made.report);
    EXPECT_EQ(made.report.error().code(), ErrorCode::kCorrupt) << made.report.error().ToString();
  }
  TarBuilder tar;
  EXPECT_FALSE(ConvertOnto(good, tar.HardLink("g", "nowhere")).report);
}

}  // namespace
}  // namespace hull::images
