#include "runtime/prepare_container.h"

#include <gtest/gtest.h>
#include <linux/capability.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_to.hpp>

#include "runtime/capabilities.h"
#include "runtime/default_capabilities.h"
#include "runtime/seccomp_document.h"
#include "runtime/seccomp_profile.h"
#include "runtime/signal_name.h"

namespace hull {
namespace {

namespace json = boost::json;
using List = std::vector<std::string>;

constexpr std::string_view kId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
constexpr uint32_t kHostCpus = 4;

ContainerImage Image() {
  return {.id = "sha256:1",
          .config = R"({"config":{"Cmd":["serve"],"Env":["PATH=/bin","MODE=image"],"User":"web",
                      "Labels":{"a":"image","b":"image"},"StopSignal":"SIGQUIT",
                      "ExposedPorts":{"80/tcp":{}},"WorkingDir":"/srv"}})",
          .layer_files = {"sha256-2.erofs"},
          .layer_bytes = 1U << 20U};
}

Result<PreparedContainer> Prepare(const ContainerOptions& options) {
  return PrepareContainer(kId, options, Image(), kHostCpus);
}

json::value Config(const ContainerOptions& options) {
  const Result<PreparedContainer> prepared = Prepare(options);
  EXPECT_TRUE(prepared) << prepared.error().ToString();
  return prepared ? json::parse(prepared->oci_config) : json::value();
}

List Strings(const json::value& array) {
  return json::value_to<List>(array);
}

// The mount's options; empty: there is no such mount.
List MountOptions(const json::value& config, std::string_view destination) {
  for (const json::value& mount : config.at("mounts").as_array()) {
    if (mount.at("destination").as_string() == destination) return Strings(mount.at("options"));
  }
  return {};
}

bool Has(const List& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

TEST(PrepareContainer, RecordHasWhatStartNeeds) {
  ContainerOptions options{.interactive = true, .remove_at_exit = true, .name = "n"};
  options.image = "sample/x";
  options.labels = {"b=user", "c="};
  options.additional_groups = {"audio"};
  options.stop_timeout_s = 3;
  options.log.max_files = 7;
  const Result<PreparedContainer> prepared = Prepare(options);
  ASSERT_TRUE(prepared) << prepared.error().ToString();
  const ContainerRecord& record = prepared->record;
  EXPECT_EQ(record.id, kId);
  EXPECT_EQ(record.name, "n");
  EXPECT_EQ(record.image, "sample/x");
  EXPECT_EQ(record.image_id, "sha256:1");
  EXPECT_TRUE(record.remove_at_exit);
  EXPECT_TRUE(record.process.interactive);
  EXPECT_EQ(record.process.user, "web");
  EXPECT_EQ(record.process.command, (List{"serve"}));
  EXPECT_EQ(record.process.additional_groups, (List{"audio"}));
  EXPECT_EQ(record.process.stop_signal, "SIGQUIT");
  EXPECT_EQ(record.process.stop_timeout_s, 3);
  EXPECT_EQ(record.machine.layer_files, (List{"sha256-2.erofs"}));
  EXPECT_GT(record.machine.memory_bytes, 0U);
  EXPECT_EQ(record.log.max_files, 7U);
  EXPECT_EQ(record.labels, (List{"a=image", "b=user", "c="}));
  EXPECT_EQ(record.state, ContainerState());
  EXPECT_TRUE(ParseContainerRecord(WriteContainerRecord(record)));
}

TEST(PrepareContainer, InspectShowsItInDockersShape) {
  ContainerOptions options{.terminal = true, .environment = {"MODE=user", "X=1"}};
  options.image = "sample/x";
  options.security.added_capabilities = {"net_admin"};
  options.security.shown = {"no-new-privileges"};
  options.limits.pids = 9;
  options.limits.resources = {{"nofile", 1, 2}};
  options.sysctls = {{"net.a", "1"}};
  options.tmpfs = {{"/t", "size=1m"}};
  options.init = false;
  options.log_options = {{"max-size", "1m"}};
  const Result<PreparedContainer> prepared = Prepare(options);
  ASSERT_TRUE(prepared) << prepared.error().ToString();
  const json::value shown = prepared->record.shown;
  const json::value& config = shown.at("Config");
  EXPECT_EQ(config.at("Hostname").as_string(), kId.substr(0, 12));
  EXPECT_EQ(config.at("User").as_string(), "web");
  EXPECT_TRUE(config.at("Tty").as_bool());
  EXPECT_EQ(Strings(config.at("Env")), (List{"MODE=user", "X=1", "PATH=/bin"}));
  EXPECT_EQ(Strings(config.at("Cmd")), (List{"serve"}));
  EXPECT_TRUE(config.at("Entrypoint").is_null());
  EXPECT_EQ(config.at("Image").as_string(), "sample/x");
  EXPECT_EQ(config.at("StopSignal").as_string(), "SIGQUIT");
  EXPECT_EQ(config.at("Labels").at("a").as_string(), "image");
  EXPECT_TRUE(config.at("ExposedPorts").at("80/tcp").is_object());
  const json::value& host = shown.at("HostConfig");
  EXPECT_EQ(Strings(host.at("CapAdd")), (List{"CAP_NET_ADMIN"}));
  EXPECT_TRUE(host.at("CapDrop").is_null());
  EXPECT_EQ(Strings(host.at("SecurityOpt")), (List{"no-new-privileges"}));
  EXPECT_EQ(host.at("PidsLimit").to_number<int>(), 9);
  EXPECT_EQ(host.at("Ulimits").at(0).at("Name").as_string(), "nofile");
  EXPECT_EQ(host.at("Sysctls").at("net.a").as_string(), "1");
  EXPECT_EQ(host.at("Tmpfs").at("/t").as_string(), "size=1m");
  EXPECT_FALSE(host.at("Init").as_bool());
  EXPECT_EQ(host.at("ShmSize").to_number<int>(), 64 << 20);
  EXPECT_EQ(host.at("LogConfig").at("Config").at("max-size").as_string(), "1m");
  EXPECT_EQ(host.at("MaskedPaths").as_array().size(), 12U);
}

TEST(PrepareContainer, LimitsMustFitTogether) {
  struct Case {
    std::string words;
    void (*set)(ContainerOptions&);
  };
  const std::vector<Case> table = {
      {"Minimum memory limit allowed is 6MB", [](auto& o) { o.memory_bytes = 4096; }},
      {"You should always set the Memory limit when using Memoryswap limit, see usage",
       [](auto& o) { o.limits.memory_swap_bytes = 1 << 30; }},
      {"Minimum memoryswap limit should be larger than memory limit, see usage",
       [](auto& o) {
         o.memory_bytes = 64U << 20U;
         o.limits.memory_swap_bytes = 32 << 20;
       }},
      {"Minimum memory reservation allowed is 6MB",
       [](auto& o) { o.limits.memory_reservation_bytes = 4096; }},
      {"Minimum memory limit can not be less than memory reservation limit, see usage",
       [](auto& o) {
         o.memory_bytes = 16U << 20U;
         o.limits.memory_reservation_bytes = 32U << 20U;
       }},
      {"Conflicting options: Nano CPUs and CPU Period cannot both be set",
       [](auto& o) {
         o.nano_cpus = 1'000'000'000;
         o.limits.cpu_period_us = 1000;
       }},
      {"CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
       [](auto& o) { o.limits.cpu_period_us = 10; }},
      {"CPU cfs quota can not be less than 1ms (i.e. 1000)",
       [](auto& o) { o.limits.cpu_quota_us = 10; }},
      {"Invalid value 1- for cpuset cpus", [](auto& o) { o.limits.cpuset_cpus = "1-"; }},
      {"Requested CPUs are not available - requested 2-4, available: 0-3",
       [](auto& o) { o.limits.cpuset_cpus = "2-4"; }},
      {"Requested memory nodes are not available - requested 1, available: 0",
       [](auto& o) { o.limits.cpuset_mems = "1"; }},
      {"Invalid value 2000, range for oom score adj is [-1000, 1000]",
       [](auto& o) { o.limits.oom_score_adjustment = 2000; }},
      {"unknown capability: \"CAP_FOO\"", [](auto& o) { o.security.added_capabilities = {"foo"}; }},
      {"invalid signal: FOO", [](auto& o) { o.stop_signal = "FOO"; }},
  };
  for (const Case& entry : table) {
    ContainerOptions options;
    entry.set(options);
    const Result<PreparedContainer> prepared = Prepare(options);
    ASSERT_FALSE(prepared) << entry.words;
    EXPECT_EQ(prepared.error().message(), entry.words);
  }
}

TEST(PrepareContainer, WhatIsOfNoEffectIsSaid) {
  ContainerOptions options;
  options.limits.memory_swappiness = 10;
  EXPECT_EQ(
      Prepare(options)->warnings,
      (List{"WARNING: Your kernel does not support memory swappiness capabilities or the cgroup is "
            "not mounted. Memory swappiness discarded."}));
  EXPECT_TRUE(Prepare({})->warnings.empty());
}

TEST(PrepareContainer, TheMachineHasTheCpusThatAreNamed) {
  ContainerOptions options;
  options.limits.cpuset_cpus = "0,2";
  EXPECT_EQ(Prepare(options)->record.machine.cpus, 3U);
  options = {};
  options.limits.cpu_quota_us = 150'000;
  EXPECT_EQ(Prepare(options)->record.machine.cpus, 2U);
  options.limits.cpu_quota_us = 1'000'000'000;
  EXPECT_EQ(Prepare(options)->record.machine.cpus, kHostCpus);
}

TEST(OciOptions, CapabilitiesFollowTheFlags) {
  SecurityOptions security;
  EXPECT_EQ(ResolveCapabilities(security).value(), kDefaultCapabilityMask);
  security.added_capabilities = {"net_admin", "CAP_SYS_TIME"};
  security.dropped_capabilities = {"chown"};
  EXPECT_EQ(ResolveCapabilities(security).value(),
            (kDefaultCapabilityMask | 1U << CAP_NET_ADMIN | 1U << CAP_SYS_TIME) &
                ~uint64_t{1U << CAP_CHOWN});
  security.dropped_capabilities = {"all"};
  EXPECT_EQ(ResolveCapabilities(security).value(), 1U << CAP_NET_ADMIN | 1U << CAP_SYS_TIME);
  security.added_capabilities = {"ALL"};
  security.dropped_capabilities = {"SYS_ADMIN"};
  EXPECT_EQ(ResolveCapabilities(security).value(),
            AllCapabilities() & ~uint64_t{1U << CAP_SYS_ADMIN});
  security.privileged = true;
  EXPECT_EQ(ResolveCapabilities(security).value(), AllCapabilities());
}

TEST(OciOptions, PrivilegedHasNoWallInsideItsMachine) {
  ContainerOptions options;
  options.security.privileged = true;
  const json::value config = Config(options);
  EXPECT_EQ(config.at("process").at("capabilities").at("bounding").as_array().size(), 41U);
  EXPECT_EQ(config.at("annotations").as_object().size(), 0U);
  EXPECT_EQ(config.at("linux").at("maskedPaths").as_array().size(), 0U);
  EXPECT_EQ(config.at("linux").at("readonlyPaths").as_array().size(), 0U);
  EXPECT_TRUE(config.at("linux").at("resources").at("devices").at(0).at("allow").as_bool());
  EXPECT_FALSE(Has(MountOptions(config, "/sys"), "ro"));
  EXPECT_FALSE(Has(MountOptions(config, "/sys/fs/cgroup"), "ro"));
  EXPECT_TRUE(Has(MountOptions(Config({}), "/sys"), "ro"));
}

TEST(OciOptions, EachLimitIsInItsPlace) {
  ContainerOptions options;
  options.limits.pids = 5;
  options.limits.cpu_shares = 512;
  options.limits.cpuset_cpus = "0";
  options.limits.cpu_quota_us = -1;
  options.limits.memory_reservation_bytes = 32U << 20U;
  options.limits.memory_swap_bytes = -1;
  options.limits.oom_score_adjustment = 7;
  options.limits.resources = {{"core", -1, -1}, {"nofile", 5, 6}};
  options.sysctls = {{"kernel.sem", "1 2 3 4"}};
  options.domainname = "d";
  options.annotations = {{"k", "v"}};
  const json::value config = Config(options);
  const json::value& resources = config.at("linux").at("resources");
  EXPECT_EQ(resources.at("pids").at("limit").to_number<int>(), 5);
  EXPECT_EQ(resources.at("cpu").at("shares").to_number<int>(), 512);
  EXPECT_EQ(resources.at("cpu").at("cpus").as_string(), "0");
  EXPECT_EQ(resources.at("cpu").at("quota").to_number<int>(), -1);
  EXPECT_EQ(resources.at("memory").at("reservation").to_number<int>(), 32 << 20);
  EXPECT_EQ(resources.at("memory").as_object().if_contains("swap"), nullptr);
  EXPECT_EQ(config.at("process").at("oomScoreAdj").to_number<int>(), 7);
  const json::value& core = config.at("process").at("rlimits").at(0);
  EXPECT_EQ(core.at("type").as_string(), "RLIMIT_CORE");
  EXPECT_EQ(core.at("soft").to_number<uint64_t>(), UINT64_MAX);
  const json::value& files = config.at("process").at("rlimits").at(1);
  EXPECT_EQ(files.at("type").as_string(), "RLIMIT_NOFILE");
  EXPECT_EQ(files.at("hard").to_number<int>(), 6);
  EXPECT_EQ(config.at("process").at("rlimits").as_array().size(), 2U);
  EXPECT_EQ(config.at("linux").at("sysctl").at("kernel.sem").as_string(), "1 2 3 4");
  EXPECT_EQ(config.at("domainname").as_string(), "d");
  EXPECT_EQ(config.at("annotations").at("k").as_string(), "v");
  options.limits.pids = -1;
  EXPECT_EQ(Config(options).at("linux").at("resources").as_object().if_contains("pids"), nullptr);
}

TEST(OciOptions, TmpfsHasDockersOptionsAndTheUsers) {
  ContainerOptions options;
  options.tmpfs = {{"/a", ""}, {"/b", "exec,size=1m,size=2m,rw"}, {"/dev/shm", "mode=700"}};
  options.limits.shm_bytes = 1000;
  const json::value config = Config(options);
  EXPECT_EQ(MountOptions(config, "/a"), (List{"noexec", "nosuid", "nodev"}));
  EXPECT_EQ(MountOptions(config, "/b"), (List{"nosuid", "nodev", "exec", "size=2m", "rw"}));
  EXPECT_EQ(MountOptions(config, "/dev/shm"), (List{"noexec", "nosuid", "nodev", "mode=700"}));
  options.tmpfs.clear();
  EXPECT_TRUE(Has(MountOptions(Config(options), "/dev/shm"), "size=1k"));
  EXPECT_TRUE(Has(MountOptions(Config({}), "/dev/shm"), "size=65536k"));
  options.ipc = IpcMode::kNone;
  EXPECT_TRUE(MountOptions(Config(options), "/dev/shm").empty());
}

TEST(OciOptions, InitComesBeforeTheCommand) {
  ContainerOptions options;
  options.init = true;
  const json::value config = Config(options);
  EXPECT_EQ(Strings(config.at("process").at("args")), (List{"/sbin/docker-init", "--", "serve"}));
  EXPECT_TRUE(Has(MountOptions(config, "/sbin/docker-init"), "ro"));
  EXPECT_EQ(Prepare(options)->record.process.command, (List{"serve"}));
}

TEST(OciOptions, MaskedPathsCanBeAddedAndTakenAway) {
  ContainerOptions options;
  options.security.masked_paths = {"/proc/cpuinfo"};
  options.security.unmasked_paths = {"/proc/ti*", "/proc/sys"};
  const json::value section = Config(options).at("linux");
  const List masked = Strings(section.at("maskedPaths"));
  EXPECT_TRUE(Has(masked, "/proc/cpuinfo"));
  EXPECT_TRUE(Has(masked, "/proc/kcore"));
  EXPECT_FALSE(Has(masked, "/proc/timer_list"));
  EXPECT_FALSE(Has(Strings(section.at("readonlyPaths")), "/proc/sys"));
  options.security.system_paths_unconfined = true;
  options.security.masked_paths.clear();
  EXPECT_TRUE(Strings(Config(options).at("linux").at("maskedPaths")).empty());
}

TEST(OciOptions, TheFilterFollowsTheChoice) {
  ContainerOptions options;
  const auto filter = [&] {
    const json::value config = Config(options);
    const json::value* value =
        config.at("annotations").as_object().if_contains("run.oci.seccomp_bpf_data");
    return value == nullptr ? std::string() : std::string(value->as_string());
  };
  // Nobody's annotation takes its place.
  options.annotations = {{"run.oci.seccomp_bpf_data", "AAAA"}};
  EXPECT_EQ(filter(), seccomp::DefaultFilterBase64());
  options.annotations.clear();
  options.security.added_capabilities = {"SYS_ADMIN"};
  EXPECT_NE(filter(), seccomp::DefaultFilterBase64());
  EXPECT_TRUE(filter().ends_with(seccomp::DefaultFilterBase64()));
  options.security.seccomp = SeccompChoice::kUnconfined;
  EXPECT_EQ(filter(), "");
  options.security.seccomp = SeccompChoice::kProfile;
  options.security.seccomp_profile = R"({"defaultAction":"SCMP_ACT_ALLOW"})";
  EXPECT_EQ(filter(), "");
  EXPECT_EQ(Config(options).at("linux").at("seccomp").at("defaultAction").as_string(),
            "SCMP_ACT_ALLOW");
}

constexpr std::string_view kProfile = R"({
  "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
  "archMap": [
    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
    {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
  "syscalls": [
    {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
    {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
    {"names": ["newer"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "9.0"}},
    {"names": ["arm"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm"]}},
    {"names": ["amd"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
    {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]},
     "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}]},
    {"name": "old", "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "comment": "", "args": null}]})";

List NamesIn(const json::object& document) {
  List names;
  for (const json::value& call : document.at("syscalls").as_array()) {
    for (const json::value& name : call.at("names").as_array()) {
      names.emplace_back(name.as_string());
    }
  }
  return names;
}

TEST(SeccompDocument, ConditionsAreDecided) {
  const json::object plain = SeccompDocument(kProfile, kDefaultCapabilityMask).value();
  EXPECT_EQ(NamesIn(plain), (List{"read", "write", "ptrace", "amd", "clone", "old"}));
  EXPECT_EQ(Strings(plain.at("architectures")), (List{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"}));
  EXPECT_EQ(plain.at("defaultErrnoRet").to_number<int>(), 1);
  EXPECT_EQ(plain.at("syscalls").at(3).at("args").at(0).at("value").to_number<uint64_t>(),
            2114060288U);
  EXPECT_EQ(plain.at("syscalls").at(4).at("errnoRet").to_number<int>(), 38);
  const json::object admin =
      SeccompDocument(kProfile, kDefaultCapabilityMask | 1U << CAP_SYS_ADMIN).value();
  EXPECT_EQ(NamesIn(admin), (List{"read", "write", "ptrace", "amd", "mount", "old"}));
  EXPECT_TRUE(SeccompDocument("{}", 0)->empty());
}

TEST(SeccompDocument, WrongProfilesAreRefused) {
  for (
      const char* text :
      {"", "[]", R"({"defaultAction":"SCMP_ACT_MAYBE"})", R"({"defaultAction":1})",
       R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":{}})",
       R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[1]})",
       R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["x"]}]})",
       R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["a"],"archMap":[{}]})",
       R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_LOG"}]})",
       R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","action":"SCMP_ACT_LOG","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]})",
       R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","action":"SCMP_ACT_LOG","args":[{"op":"="}]}]})",
       R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","action":"SCMP_ACT_LOG","includes":{"minKernel":"x"}}]})"}) {
    const Result<json::object> document = SeccompDocument(text, 0);
    ASSERT_FALSE(document) << text;
    EXPECT_EQ(document.error().code(), ErrorCode::kInvalidArgument) << text;
  }
}

TEST(SignalName, NamesAndNumbersAreDockers) {
  const std::vector<std::pair<std::string, int>> table = {
      {"15", 15},      {"SIGTERM", 15},    {"term", 15}, {"sigkill", 9}, {"RTMIN", 34},
      {"RTMIN+3", 37}, {"SIGRTMAX-2", 62}, {"CLD", 17},  {"64", 64}};
  for (const auto& [text, number] : table)
    EXPECT_EQ(ParseSignal(text).value_or(-1), number) << text;
  for (const char* text : {"", "0", "65", "-1", "FOO", "RTMIN+31", "RTMAX+1", "SIG", "15x"}) {
    EXPECT_FALSE(ParseSignal(text)) << text;
  }
  EXPECT_EQ(SignalName(15), "SIGTERM");
  EXPECT_EQ(SignalName(40), "40");
}

}  // namespace
}  // namespace hull
