#include "guest-agent/devices/module_loader.h"

#include <fcntl.h>
#include <linux/module.h>

#include <cerrno>
#include <map>
#include <set>

#include "guest-agent/devices/fake_tree_fixture.h"
#include "guest-agent/devices/module_index.h"
#include "guest-agent/devices/module_job.h"
#include "vmm/base/file.h"

namespace hull::agent {
namespace {

constexpr char kModules[] = "/lib/modules/6.12/";

std::string Joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += part + " ";
  return text;
}

TEST(ModuleNameTest, FilesAndNames) {
  EXPECT_EQ(ModuleNameOf("kernel/drivers/gpu/my-gpu.ko.xz"), "my_gpu");
  EXPECT_EQ(ModuleNameOf("a.ko"), "a");
  EXPECT_EQ(ModuleNameOf("a.ko.gz"), "a");
  for (const char* path : {"", "a", "a.ko.exe", ".ko", "a b.ko", "kernel/", "a.ko/b"}) {
    EXPECT_EQ(ModuleNameOf(path), "") << path;
  }
}

TEST(ModuleIndexTest, NeedsComeFirst) {
  const ModuleIndex index("k/drm.ko:\nk/helper.ko: k/drm.ko\nk/my-gpu.ko: k/helper.ko k/drm.ko\n");
  EXPECT_EQ(Joined(index.FilesFor("my_gpu").value()), "k/drm.ko k/helper.ko k/my-gpu.ko ");
  EXPECT_EQ(Joined(index.FilesFor("my-gpu").value()), "k/drm.ko k/helper.ko k/my-gpu.ko ");
  EXPECT_EQ(Joined(index.FilesFor("drm").value()), "k/drm.ko ");
  EXPECT_EQ(index.FilesFor("other").error().code(), ErrorCode::kNotFound);
}

TEST(ModuleIndexTest, Misbehaviour) {
  EXPECT_FALSE(ModuleIndex("").FilesFor("x").has_value());
  EXPECT_FALSE(ModuleIndex("x.ko").FilesFor("x").has_value()) << "no colon";
  EXPECT_FALSE(ModuleIndex(std::string("\0\0\n:::\n", 7)).FilesFor("").has_value());
  EXPECT_EQ(Joined(ModuleIndex("x.ko: x.ko").FilesFor("x").value()), "x.ko x.ko ") << "itself";
  EXPECT_EQ(Joined(ModuleIndex("x.ko:   y.ko  \n").FilesFor("x").value()), "y.ko x.ko ");
  std::string many = "x.ko:";
  for (int i = 0; i < 256; ++i) many += " y.ko";
  EXPECT_EQ(ModuleIndex(many).FilesFor("x").error().code(), ErrorCode::kInvalidArgument);
  std::string lines;
  for (int i = 0; i < 70000; ++i) lines += "m" + std::to_string(i) + ".ko:\n";
  const ModuleIndex index(lines);
  EXPECT_TRUE(index.FilesFor("m65535").has_value());
  EXPECT_FALSE(index.FilesFor("m65536").has_value()) << "bounded";
}

TEST(ModuleNamesTest, AreChecked) {
  EXPECT_TRUE(ValidateModules({"bochs", "drm-kms_helper"}).has_value());
  for (const char* name : {"", "../x", "a/b", "a b", "a.ko", "\x1b"}) {
    EXPECT_EQ(ValidateModules({name}).error().code(), ErrorCode::kInvalidArgument) << name;
  }
  EXPECT_FALSE(ValidateModules({std::string(56, 'x')}).has_value());
  EXPECT_FALSE(ValidateModules(std::vector<std::string>(33, "x")).has_value());
}

class ModuleLoaderTest : public FakeTree {
 protected:
  hull::Status Load(const std::vector<std::string>& modules) {
    const UniqueFd root = OpenFile(root_, O_PATH | O_DIRECTORY).value();
    return LoadModules(
        root.get(), "6.12", modules,
        {.load =
             [this](int file, int flags) {
               loaded_.push_back(ReadFile("/proc/self/fd/" + std::to_string(file), 100).value());
               flags_ = flags;
               return answer_;
             },
         .has = [this](const std::string& name) { return has_.contains(name); },
         .words =
             [](const std::string& name) {
               return std::vector<std::string>{name + ": says the kernel"};
             }});
  }
  std::string Refusal(const std::vector<std::string>& modules) {
    const hull::Status status = Load(modules);
    return status ? "loaded" : status.error().ToString();
  }

  std::vector<std::string> loaded_;
  std::set<std::string> has_;
  int answer_ = 0;
  int flags_ = 0;
};

TEST_F(ModuleLoaderTest, LoadsWhatAModuleNeedsAndLeavesOutWhatIsThere) {
  Write(std::string(kModules) + "modules.dep", "b.ko: a.ko c.ko\na.ko:\nc.ko:\n");
  for (const char* name : {"a", "b", "c"}) Write(kModules + std::string(name) + ".ko", name);
  has_ = {"c"};
  EXPECT_EQ(Refusal({"b"}), "loaded");
  EXPECT_EQ(Joined(loaded_), "a b ");
  EXPECT_EQ(flags_, 0);
}

TEST_F(ModuleLoaderTest, MergedUsrIsFollowed) {
  Write("/usr/lib/modules/6.12/modules.dep", "a.ko:\n/lib/modules/6.12/b.ko:\n");
  Write("/usr/lib/modules/6.12/a.ko", "a");
  Write("/usr/lib/modules/6.12/b.ko", "b");
  Link("/lib", "/usr/lib");  // absolute: of the container's root
  EXPECT_EQ(Refusal({"a", "b"}), "loaded");
  EXPECT_EQ(Joined(loaded_), "a b ");
}

TEST_F(ModuleLoaderTest, WhatIsBuiltInIsThere) {
  Write(std::string(kModules) + "modules.dep", "");
  Write(std::string(kModules) + "modules.builtin", "kernel/drivers/nvme/host/nvme-core.ko\n");
  EXPECT_EQ(Refusal({"nvme_core"}), "loaded");
  EXPECT_EQ(Refusal({"nvme-core"}), "loaded");
  EXPECT_EQ(Refusal({"other"}),
            "module other: the image's modules.dep does not have it (/lib/modules/6.12)");
  has_ = {"other"};
  EXPECT_EQ(Refusal({"other"}), "loaded");
}

TEST_F(ModuleLoaderTest, CompressedFilesAreMarkedForTheKernel) {
  Write(std::string(kModules) + "modules.dep", "a.ko.xz:\n");
  Write(std::string(kModules) + "a.ko.xz",
        "\xfd"
        "7zXZ...");
  EXPECT_EQ(Refusal({"a"}), "loaded");
  EXPECT_EQ(flags_, MODULE_INIT_COMPRESSED_FILE);
  answer_ = EOPNOTSUPP;
  EXPECT_NE(Refusal({"a"}).find("is compressed with xz, which the guest's kernel cannot unpack"),
            std::string::npos);
}

TEST_F(ModuleLoaderTest, RefusalsAreExplained) {
  EXPECT_EQ(Refusal({"a"}),
            "module a: the image has no modules for the guest's kernel, 6.12 "
            "(/lib/modules/6.12)");
  Write("/lib/modules/5.10/x", "");
  EXPECT_NE(Refusal({"a"}).find("; it has those for 5.10"), std::string::npos);
  Write(std::string(kModules) + "a.ko", "a");
  EXPECT_NE(Refusal({"a"}).find("no modules.dep (of depmod)"), std::string::npos);
  Write(std::string(kModules) + "modules.dep", "a.ko:\n");
  answer_ = ENOSYS;
  EXPECT_EQ(Load({"a"}).error().code(), ErrorCode::kUnsupported);
  answer_ = ENOEXEC;
  EXPECT_NE(
      Refusal({"a"}).find("is not a module for the guest's kernel (the guest's kernel: a: says"),
      std::string::npos);
  answer_ = ENOENT;
  EXPECT_NE(Refusal({"a"}).find("the kernel refused lib/modules/6.12/a.ko: No such file"),
            std::string::npos);
  answer_ = EEXIST;
  EXPECT_EQ(Refusal({"a"}), "loaded");
}

TEST_F(ModuleLoaderTest, NothingOutsideOfTheRootIsLoaded) {
  char secret[] = "/tmp/hull-secret-XXXXXX";
  const UniqueFd file(::mkstemp(secret));
  ASSERT_TRUE(WriteAll(file.get(), "secret").has_value());
  Write(std::string(kModules) + "modules.dep",
        "a.ko:\nb.ko:\n../../../../.." + std::string(secret) + ".ko:\n/../.." + secret +
            "/c.ko:\n" + "d.ko: ../../../x.ko\ne.ko:\nf.ko:\n");
  Link(std::string(kModules) + "a.ko", secret);
  Link(std::string(kModules) + "b.ko", "../../../../../.." + std::string(secret));
  Link(std::string(kModules) + "e.ko", "/proc/self/exe");
  std::filesystem::create_directories(root_ + kModules + "f.ko");
  Write(std::string(kModules) + "d.ko", "d");
  Write("/x.ko", "x");
  for (const char* name : {"a", "b", "c", "d", "e", "f"})
    EXPECT_FALSE(Load({name}).has_value()) << name;
  EXPECT_EQ(Joined(loaded_), "");
  ::unlink(secret);
}

TEST_F(ModuleLoaderTest, FilesThatBlockAreRefused) {
  std::filesystem::create_directories(root_ + kModules);
  ASSERT_EQ(::mkfifo((root_ + kModules + "modules.dep").c_str(), 0600), 0);
  EXPECT_NE(Refusal({"a"}).find("is not a file"), std::string::npos);
}

}  // namespace
}  // namespace hull::agent
