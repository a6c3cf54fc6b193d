#include "runtime/oci_config.h"

#include <gtest/gtest.h>

#include <set>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_to.hpp>

namespace hull {
namespace {

namespace json = boost::json;

constexpr std::string_view kId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

ImageProcess Image() {
  ImageProcess image;
  image.entrypoint = {"/entry", "-x"};
  image.command = {"serve"};
  image.environment = {"PATH=/opt/bin", "MODE=image", "EMPTY="};
  image.working_directory = "/srv";
  return image;
}

json::value Make(const ImageProcess& image, const ContainerOptions& options) {
  const Result<std::string> text = MakeOciConfig(kId, image, options);
  EXPECT_TRUE(text) << text.error().ToString();
  return text ? json::parse(*text) : json::value();
}

std::vector<std::string> Strings(const json::value& array) {
  return json::value_to<std::vector<std::string>>(array);
}

using List = std::vector<std::string>;

TEST(CommandLine, ImageAloneGivesItsEntryPointAndCommand) {
  EXPECT_EQ(CommandLine(Image(), {}).value(), (List{"/entry", "-x", "serve"}));
}
TEST(CommandLine, ArgumentsReplaceTheImagesCommand) {
  EXPECT_EQ(CommandLine(Image(), {.command = {"a", "b"}}).value(),
            (List{"/entry", "-x", "a", "b"}));
}
TEST(CommandLine, EntryPointOfTheUserSwitchesTheImagesCommandOff) {
  EXPECT_EQ(CommandLine(Image(), {.entrypoint = "/bin/sh"}).value(), (List{"/bin/sh"}));
  EXPECT_EQ(CommandLine(Image(), {.entrypoint = "/bin/sh", .command = {"-c", "id"}}).value(),
            (List{"/bin/sh", "-c", "id"}));
}
TEST(CommandLine, EmptyEntryPointMeansNone) {
  EXPECT_EQ(CommandLine(Image(), {.entrypoint = "", .command = {"id"}}).value(), (List{"id"}));
}
TEST(CommandLine, NothingToRunIsAnError) {
  EXPECT_EQ(CommandLine({}, {}).error().message(), "no command specified");
  EXPECT_FALSE(CommandLine(Image(), {.entrypoint = ""}));
}

TEST(Environment, LaterSettingsReplaceEarlierOnesInPlace) {
  const ContainerOptions options{.terminal = true,
                                 .environment = {"MODE=user", "NEW=1=2", "EMPTY", "ABSENT"}};
  EXPECT_EQ(Environment(Image(), options, "host"),
            (List{"PATH=/opt/bin", "HOSTNAME=host", "TERM=xterm", "MODE=user", "NEW=1=2"}));
}
TEST(Environment, WithoutTheImagesPathDockersIsThere) {
  EXPECT_EQ(
      Environment({}, {}, "h"),
      (List{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=h"}));
}

TEST(OciConfig, ProcessComesFromImageAndFlags) {
  const json::value config = Make(Image(), {.command = {"run"}, .working_directory = "/work"});
  const json::value& process = config.at("process");
  EXPECT_EQ(Strings(process.at("args")), (List{"/entry", "-x", "run"}));
  EXPECT_EQ(process.at("cwd").as_string(), "/work");
  EXPECT_FALSE(process.at("terminal").as_bool());
  EXPECT_FALSE(process.at("noNewPrivileges").as_bool());
  EXPECT_EQ(config.at("hostname").as_string(), kId.substr(0, 12));
  EXPECT_FALSE(config.at("root").at("readonly").as_bool());
}
TEST(OciConfig, WorkingDirectoryOfTheImageStandsUnlessGiven) {
  EXPECT_EQ(Make(Image(), {}).at("process").at("cwd").as_string(), "/srv");
  ImageProcess image = Image();
  image.working_directory.clear();
  EXPECT_EQ(Make(image, {}).at("process").at("cwd").as_string(), "/");
}
TEST(OciConfig, RelativeWorkingDirectoryIsRefusedInDockersWords) {
  const Result<std::string> text = MakeOciConfig(kId, Image(), {.working_directory = "work"});
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().message(),
            "the working directory 'work' is invalid, it needs to be an absolute path");
}
TEST(OciConfig, CapabilitiesAreDockersFourteen) {
  const json::value config = Make(Image(), {});
  const json::value& sets = config.at("process").at("capabilities");
  const List bounding = Strings(sets.at("bounding"));
  EXPECT_EQ(std::set<std::string>(bounding.begin(), bounding.end()),
            (std::set<std::string>{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER",
                                   "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
                                   "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
                                   "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"}));
  EXPECT_EQ(Strings(sets.at("effective")), bounding);
  EXPECT_EQ(Strings(sets.at("permitted")), bounding);
  // Inheritable ones would come back through execve of an ordinary file.
  EXPECT_EQ(sets.as_object().if_contains("inheritable"), nullptr);
  EXPECT_EQ(sets.as_object().if_contains("ambient"), nullptr);
}
TEST(OciConfig, LimitsAreThoseAskedFor) {
  const json::value config =
      Make(Image(), {.nano_cpus = 1'500'000'000, .memory_bytes = 512U << 20U});
  const json::value& resources = config.at("linux").at("resources");
  EXPECT_EQ(resources.at("memory").at("limit").to_number<uint64_t>(), 512U << 20U);
  EXPECT_EQ(resources.at("cpu").at("quota").to_number<uint64_t>(), 150'000U);
  EXPECT_EQ(resources.at("cpu").at("period").to_number<uint64_t>(), 100'000U);
}
TEST(OciConfig, WithoutLimitsThereAreNone) {
  const json::value config = Make(Image(), {});
  const json::object& resources = config.at("linux").at("resources").as_object();
  EXPECT_EQ(resources.if_contains("memory"), nullptr);
  EXPECT_EQ(resources.if_contains("cpu"), nullptr);
  EXPECT_FALSE(resources.at("devices").at(0).at("allow").as_bool());
}
TEST(OciConfig, KernelFilesAreMaskedAndReadOnlyAsDockers) {
  const json::value config = Make(Image(), {});
  const List masked = Strings(config.at("linux").at("maskedPaths"));
  for (const char* path : {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"}) {
    EXPECT_NE(std::find(masked.begin(), masked.end(), path), masked.end()) << path;
  }
  const List read_only = Strings(config.at("linux").at("readonlyPaths"));
  for (const char* path : {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq"}) {
    EXPECT_NE(std::find(read_only.begin(), read_only.end(), path), read_only.end()) << path;
  }
}
TEST(OciConfig, MountsHaveTheirOptions) {
  const json::value config = Make(Image(), {.read_only_root = true});
  std::set<std::string> destinations;
  for (const json::value& mount : config.at("mounts").as_array()) {
    const std::string destination(mount.at("destination").as_string());
    destinations.insert(destination);
    const List options = Strings(mount.at("options"));
    const auto has = [&](const char* option) {
      return std::find(options.begin(), options.end(), option) != options.end();
    };
    EXPECT_TRUE(has("nosuid")) << destination;
    const bool kernel_view = destination == "/sys" || destination == "/sys/fs/cgroup";
    EXPECT_EQ(has("ro"), kernel_view) << destination;
    EXPECT_EQ(has("size=65536k"), destination == "/dev/shm" || destination == "/dev")
        << destination;
  }
  EXPECT_EQ(destinations, (std::set<std::string>{"/proc", "/dev", "/dev/pts", "/sys",
                                                 "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"}));
  EXPECT_TRUE(config.at("root").at("readonly").as_bool());
}
TEST(OciConfig, HasASeccompFilter) {
  const json::value config = Make(Image(), {});
  const std::string filter(config.at("annotations").at("run.oci.seccomp_bpf_data").as_string());
  // 8 bytes an instruction, 4 characters for 3 bytes.
  EXPECT_GT(filter.size(), 1000U);
  EXPECT_EQ(filter.size() % 4, 0U);
}

}  // namespace
}  // namespace hull
